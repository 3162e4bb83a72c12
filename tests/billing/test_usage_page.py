"""The usage page and its export: the person's own lines, in their own time zone, readable without script."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import User
from billing.models import Budget, LedgerEntry
from tests.billing.spending import set_limit, spend
from tests.dom import Element, parse
from threads.models import Thread

ClientOf = Callable[[User], Client]
PAGE = "/billing/usage/"
ALL = {"period": "90-days"}


@pytest.fixture
def page(owner: User, client_of: ClientOf) -> Callable[..., Element]:
    client = client_of(owner)

    def get(**query: str) -> Element:
        response = client.get(PAGE, query)
        assert response.status_code == 200
        return parse(response.content.decode())

    return get


def text(element: Element | None) -> str:
    assert element is not None
    return " ".join(unescape(element.text).split())


def table(document: Element, heading: str) -> list[list[str]]:
    """The cells of the table under this heading's id, row by row."""
    section = next(one for one in document.all("section") if one.get("aria-labelledby") == heading)
    return [[text(cell) for cell in row.children if isinstance(cell, Element)] for row in section.one("tbody").all("tr")]


def test_somebody_new_has_all_of_their_five_dollars(page: Callable[..., Element]) -> None:
    document = page()
    balance = next(one for one in document.all("section") if one.get("aria-label") == "Balance")
    assert text(balance).startswith("$5.00 left of $5.00 $0.00 spent. To get more, ask the administrator")
    assert "Nothing was spent in this time" in document.text
    assert document.by_id("chart") is None
    assert table(document, "lines-heading")[0][-1] == "+$5.00", "what the account began with is a line too"


def test_what_was_spent_lowers_what_is_left_by_just_that(owner: User, page: Callable[..., Element]) -> None:
    spend(owner, 1_230_000)
    Budget.objects.filter(user=owner).update(reserved_micros=20_000)
    document = page()
    balance = text(next(one for one in document.all("section") if one.get("aria-label") == "Balance"))
    assert balance.startswith("$3.77 left of $5.00 $1.23 spent, $0.02 held for answers that are being written.")
    assert document.all("progress")[0]["value"] == "24"


def test_without_a_limit_there_is_nothing_left_to_say(owner: User, page: Callable[..., Element]) -> None:
    set_limit(owner, None)
    spend(owner, 10_000)
    document = page()
    assert "$0.01 spent, without a limit" in text(document)
    assert document.by_id("left") is None


def test_the_chart_is_a_table_first(owner: User, page: Callable[..., Element]) -> None:
    today = timezone.now().replace(hour=12)
    for day in (0, 0, 2):
        spend(owner, 30_000, model="claude-haiku-4-5", at=today - dt.timedelta(days=day))
    spend(owner, 500, model="demo", at=today)
    document = page(period="7-days")
    head = [text(cell) for cell in document.by_id("by-day").one("thead").all("th")]  # type: ignore[union-attr]
    assert head == ["Day", "Claude Haiku 4.5", "Demo", "Total"]
    rows = table(document, "days-heading")
    assert len(rows) == 7, "days without a call are days too"
    assert rows[-1] == [f"{today.day} {today:%b}", "$0.06", "$0.0005", "$0.06"]
    assert [row[1] for row in rows] == ["–", "–", "–", "–", "$0.03", "–", "$0.06"]
    assert "open" in document.by_id("by-day").attributes  # type: ignore[union-attr]


def test_many_models_share_the_last_colour(owner: User, page: Callable[..., Element]) -> None:
    for number in range(8):
        spend(owner, 10_000 * (number + 1), model=f"model-{number}")
    document = page(**ALL)
    head = [text(cell) for cell in document.by_id("by-day").one("thead").all("th")]  # type: ignore[union-attr]
    assert head == ["Day", "model-7", "model-6", "model-5", "model-4", "model-3", "Others", "Total"]
    assert table(document, "days-heading")[-1][-2:] == ["$0.06", "$0.36"]
    assert len(table(document, "models-heading")) == 8


def test_chats_are_links_while_they_are_there(owner: User, page: Callable[..., Element]) -> None:
    kept, gone = (Thread.objects.create(user=owner, title=title) for title in ("Plans <b>", "Secrets"))
    spend(owner, 20_000, thread_id=kept.pk)
    spend(owner, 30_000, thread_id=gone.pk)
    spend(owner, 10_000, kind="embedding", model="all-minilm")
    Thread.objects.filter(pk=gone.pk).update(deleted_at=timezone.now())
    document = page(**ALL)
    assert table(document, "chats-heading") == [
        ["Deleted chat", "1", "$0.03"],
        ["Plans <b>", "1", "$0.02"],
        ["Outside of chats", "1", "$0.01"],
    ]
    assert f"/c/{kept.pk}" in [link["href"] for link in document.all("a")]
    assert "Secrets" not in document.text
    assert [row[1] for row in table(document, "lines-heading")] == [
        "Embedding · all-minilm",
        "DemoDeleted chat",
        "DemoPlans <b>",
        "CreditNew account",
    ]


def test_each_key_stands_against_its_cap(owner: User, page: Callable[..., Element]) -> None:
    capped, _ = keys.mint(owner, "capped", max_spend_micros=2_000_000)
    free, _ = keys.mint(owner, "free")
    spend(owner, 1_000_000, key=capped, at=timezone.now() - dt.timedelta(days=200))
    spend(owner, 600_000, key=capped)
    spend(owner, 10_000, key=free)
    rows = table(page(**ALL), "keys-heading")
    assert rows == [
        [f"capped ({capped.prefix})", "1", "$0.60", "$1.60 of $2.00"],
        [f"free ({free.prefix})", "1", "$0.01", "$0.01 spent, no cap"],
    ]


def test_lines_come_fifty_at_a_time(owner: User, page: Callable[..., Element]) -> None:
    now = timezone.now()
    for number in range(120):
        spend(owner, number + 100_000, at=now - dt.timedelta(seconds=number))
    seen, query = [], dict(ALL)
    while query:
        document = page(**query)
        seen += [row[-1] for row in table(document, "lines-heading")]
        older = [link["href"] for link in document.all("a") if link.text == "Older"]
        query = dict(part.split("=") for part in unescape(older[0])[1:].removesuffix("#lines").split("&")) if older else {}
    assert len(seen) == 121
    assert "+$5.00" in seen
    assert len({amount for amount in seen if not amount.startswith("+")}) == 2, "to four digits"


@pytest.mark.parametrize("cursor", ["x", "1_2", "9" * 40 + "_" + "0" * 32, "-1_x", "1_00000000-0000-4000-8000-00000000000g"])
def test_a_cursor_that_no_page_carried_is_refused(cursor: str, owner: User, client_of: ClientOf) -> None:
    assert client_of(owner).get(PAGE, {"before": cursor}).status_code == 400


def test_the_month_begins_where_the_reader_lives(owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    client.cookies["tz"] = "Pacific/Auckland"
    month = timezone.now().astimezone(ZoneInfo("Pacific/Auckland")).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    spend(owner, 1_000_000, at=month)
    spend(owner, 2_000_000, at=month - dt.timedelta(seconds=1))
    for period, spent in (("month", "$1.00"), ("last-month", "$2.00"), ("nonsense", "$1.00")):
        figures = parse(client.get(PAGE, {"period": period}).content.decode()).one("dl")
        assert text(figures).startswith(f"Spent{spent} Calls1 ")


def test_the_export_is_the_ledger(owner: User, stranger: User, client_of: ClientOf) -> None:
    thread = Thread.objects.create(user=owner, title="=1+1")
    for number in range(3):
        spend(owner, 1000 + number, thread_id=thread.pk, estimated=number == 1)
    spend(stranger, 5_555)
    response = client_of(owner).get("/billing/usage/lines.csv", ALL)
    assert response["Content-Disposition"] == 'attachment; filename="usage-90-days.csv"'
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    lines = LedgerEntry.objects.for_user(owner).order_by("-created_at", "-pk")
    assert [(row["kind"], int(row["cost_micros"]), int(row["amount_micros"])) for row in rows] == [
        (line.kind, line.cost_micros, line.amount_micros) for line in lines
    ]
    assert {row["chat"] for row in rows} == {"", "'=1+1"}
    assert [row["estimated"] for row in rows] == ["False", "True", "False", "False"]


def test_the_page_is_asked_of_postgresql_a_few_times_however_much_there_is(
    owner: User, client_of: ClientOf, django_assert_max_num_queries: Callable[[int], object]
) -> None:
    for number in range(60):
        spend(owner, 1000, model=f"m{number % 9}", thread_id=Thread.objects.create(user=owner, title="t").pk)
    client = client_of(owner)
    with django_assert_max_num_queries(18):  # type: ignore[attr-defined]
        client.get(PAGE, ALL)


def test_a_stranger_sees_their_own_page(owner: User, stranger: User, client_of: ClientOf, client: Client) -> None:
    thread = Thread.objects.create(user=owner, title="Only for the owner")
    spend(owner, 4_321_000, thread_id=thread.pk)
    for path in (PAGE, "/billing/usage/lines.csv"):
        assert client.get(path)["Location"].startswith("/accounts/login/")
        answer = client_of(stranger).get(path).content.decode()
        assert "Only for the owner" not in answer
        assert "4.32" not in answer


def test_the_keys_page_shows_spend_against_the_cap(owner: User, client_of: ClientOf) -> None:
    capped, _ = keys.mint(owner, "capped", max_spend_micros=2_000_000)
    spend(owner, 500_000, key=capped)
    document = parse(client_of(owner).get("/settings/keys/").content.decode())
    row = next(one for one in document.all("li") if "capped" in one.text)
    assert "Cap $2.00, $0.50 spent" in text(row)
    assert row.one("progress")["value"] == "25"
