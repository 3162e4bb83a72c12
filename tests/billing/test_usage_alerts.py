"""Soft alerts at 50, 80 and 100 %: one mail each, one strip each, again when the limit was raised."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from pytest_django import Settings

from accounts import keys
from accounts.models import User
from billing import actions, alerts
from billing.models import Budget, LedgerEntry
from billing.standing import Standing
from billing.tasks import send_alerts, send_key_alerts
from tests.billing.spending import set_limit, spend
from tests.dom import Element, parse

ClientOf = Callable[[User], Client]
PERCENT = 50_000  # micro-dollars of a new account's $5.00
FETCH = {"X-Requested-With": "fetch"}


@pytest.fixture(autouse=True)
def nobody_pays(settings: Settings) -> None:
    settings.STRIPE_SECRET_KEY = ""


def subjects() -> list[str]:
    found = [one.subject.removeprefix("[chatai] ") for one in mail.outbox]
    mail.outbox.clear()
    return found


def test_each_level_is_told_once(owner: User, stranger: User) -> None:
    told = []
    for _ in range(21):
        spend(owner, 5 * PERCENT)
        send_alerts()
        send_alerts()
        told += subjects()
    assert told == ["50 % of your budget is spent", "80 % of your budget is spent", "Your budget is spent"]


def test_the_mail_says_what_is_left_and_goes_to_the_account(owner: User, stranger: User, settings: Settings) -> None:
    settings.SITE_URL = "https://chat.example"
    spend(owner, 82 * PERCENT)
    send_alerts()
    (sent,) = mail.outbox
    assert sent.to == [owner.email]
    assert "80 % of the budget of your account at chatai is spent. $0.90 of $5.00 is left." in sent.body
    assert "ask the administrator" in sent.body
    assert "https://chat.example/billing/usage/" in sent.body
    assert "{" not in sent.body


def test_a_jump_over_several_levels_is_one_mail(owner: User) -> None:
    spend(owner, 100 * PERCENT)
    send_alerts()
    assert subjects() == ["Your budget is spent"]


def test_more_money_arms_the_alerts_again(owner: User) -> None:
    spend(owner, 90 * PERCENT)
    send_alerts()
    assert actions.credit(owner, 100 * PERCENT, LedgerEntry.Kind.CREDIT, "test:more", "More") is not None
    send_alerts()
    assert subjects() == ["80 % of your budget is spent"]
    spend(owner, 15 * PERCENT)
    send_alerts()
    assert subjects() == ["50 % of your budget is spent"]


def test_lifting_the_limit_ends_them(owner: User) -> None:
    spend(owner, 90 * PERCENT)
    send_alerts()
    set_limit(owner, None)
    send_alerts()
    assert Budget.objects.get(user=owner).alerted_percent == 0
    assert len(subjects()) == 1


def test_a_budget_of_nothing_is_no_news(owner: User) -> None:
    set_limit(owner, 0)
    send_alerts()
    assert subjects() == []


def test_a_key_of_its_own_cap_alerts_whoever_owns_it_once_per_level(owner: User, stranger: User) -> None:
    set_limit(owner, None)
    app, _ = keys.mint(owner, "Shop & Co", max_spend_micros=1_000_000)
    told = []
    for _ in range(11):
        spend(owner, 100_000, key=app)
        send_key_alerts()
        send_key_alerts()
        told += [(sent.to, sent.subject) for sent in mail.outbox]
        mail.outbox.clear()
    levels = ["50 % of the cap of your key “Shop & Co” is spent", "80 % of the cap of your key “Shop & Co” is spent"]
    assert told == [([owner.email], f"[chatai] {one}") for one in [*levels, "The cap of your key “Shop & Co” is spent"]]
    assert subjects() == []


def test_the_keys_of_an_apps_end_users_are_one_mail_with_a_link(owner: User, settings: Settings) -> None:
    settings.SITE_URL = "https://chat.example"
    set_limit(owner, None)
    for number in range(30):
        app, _ = keys.mint(owner, f"user_{number:02}", max_spend_micros=1_000_000)
        spend(owner, 500_000 + number * 20_000, key=app)
    send_key_alerts()
    (sent,) = mail.outbox
    assert sent.subject == "[chatai] 30 of your API keys are nearing their caps"
    assert "- user_25 (qlk_live_" in sent.body.splitlines()[4], "the worst comes first"
    assert "all of $1.00 is spent, its calls are refused." in sent.body
    assert sent.body.count(" is spent, ") == alerts.NAMED
    assert "- and 10 more" in sent.body
    assert "https://chat.example/settings/keys/" in sent.body
    assert "{" not in sent.body


def test_no_mail_about_the_personal_key_a_revoked_one_or_one_without_a_cap(owner: User) -> None:
    gone, _ = keys.mint(owner, "gone", max_spend_micros=1000)
    open_one, _ = keys.mint(owner, "open")
    for key in (owner.api_keys.get(personal=True), gone, open_one):
        spend(owner, 100 * PERCENT, key=key)
    keys.revoke(gone)
    send_key_alerts()
    assert subjects() == []


def test_a_higher_cap_arms_the_alerts_of_a_key_again(owner: User) -> None:
    app, _ = keys.mint(owner, "app", max_spend_micros=1000)
    spend(owner, 1000, key=app)
    send_key_alerts()
    app.max_spend_micros = 10_000
    app.save(update_fields=["max_spend_micros"])
    send_key_alerts()
    spend(owner, 4000, key=app)
    send_key_alerts()
    assert subjects() == ["The cap of your key “app” is spent", "50 % of the cap of your key “app” is spent"]


def test_a_mail_that_could_not_be_sent_is_sent_the_next_time(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise smtplib.SMTPServerDisconnected("gone")

    spend(owner, 60 * PERCENT)
    spend(owner, 10, key=keys.mint(owner, "app", max_spend_micros=10)[0])
    with monkeypatch.context() as patched:
        patched.setattr(alerts, "send_mail", refuse)
        send_alerts()
        send_key_alerts()
    assert subjects() == []
    for _ in range(2):
        send_alerts()
        send_key_alerts()
    assert subjects() == ["50 % of your budget is spent", "The cap of your key “app” is spent"]


@pytest.mark.django_db(transaction=True)
def test_processes_that_ask_at_once_share_the_alerts(owner: User) -> None:
    people = [owner, *(User.objects.create_user(f"p{number}@example.com", "x") for number in range(19))]
    for person in people:
        spend(person, 55 * PERCENT)

    def take(_: int) -> list[alerts.Alert]:
        try:
            return alerts.take()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        taken = [alert for found in pool.map(take, range(8)) for alert in found] + alerts.take()
    assert sorted(alert.of for alert in taken) == sorted(person.pk for person in people)
    assert {alert.level for alert in taken} == {50}


@pytest.mark.parametrize(
    ("limit", "spent", "percent", "level", "ahead"),
    [
        (None, 9, 0, 0, None),
        (0, 0, 100, 100, None),
        (100, 0, 0, 0, 50),
        (100, 49, 49, 0, 1),
        (100, 50, 50, 50, 30),
        (3, 1, 33, 0, 1),
        (3, 2, 66, 50, 1),
        (100, 99, 99, 80, 1),
        (100, 100, 100, 100, None),
        (100, 130, 100, 100, None),
        (-20, 130, 100, 100, None),
    ],
)
def test_where_the_levels_lie(limit: int | None, spent: int, percent: int, level: int, ahead: int | None) -> None:
    stands = Standing(limit, spent, 0)
    assert (stands.percent, stands.level, stands.next_level_micros) == (percent, level, ahead)
    if limit is not None and ahead is not None:
        assert Standing(limit, spent + ahead, 0).level > level
        assert Standing(limit, spent + ahead - 1, 0).level == level


# --- the strip --------------------------------------------------------------------------------------------------------------


def strip(response: object) -> Element | None:
    document = parse(response.content.decode())  # type: ignore[attr-defined]
    return next((one for one in document.all("div") if "budget-strip" in one.classes), None)


def test_the_strip_is_in_the_chat_from_half_of_the_budget_on(owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    assert strip(client.get("/c/new")) is None
    spend(owner, 51 * PERCENT)
    shown = strip(client.get("/c/new"))
    assert shown is not None
    assert "level-50" in shown.classes
    assert "51 % of your budget is spent, $2.45 of $5.00 is left. To get more, ask the administrator." in " ".join(shown.text.split())
    spend(owner, 49 * PERCENT)
    shown = strip(client.get("/c/new"))
    assert shown is not None
    assert "Your budget of $5.00 is spent. Messages are refused until there is more." in " ".join(shown.text.split())


def test_with_stripe_the_strip_leads_to_where_money_is_added(owner: User, client_of: ClientOf, settings: Settings) -> None:
    settings.STRIPE_SECRET_KEY = "sk_test_x"
    spend(owner, 80 * PERCENT)
    shown = strip(client_of(owner).get("/c/new"))
    assert shown is not None
    assert [link["href"] for link in shown.all("a")] == ["/billing/"]


def test_a_closed_strip_stays_closed_until_there_is_news(owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    spend(owner, 51 * PERCENT)
    assert client.post("/billing/alert/dismiss", headers=FETCH).status_code == 204
    assert strip(client.get("/c/new")) is None
    assert strip(client.get("/billing/alert")) is None
    spend(owner, 10 * PERCENT)
    assert strip(client.get("/c/new")) is None, "the same level"
    spend(owner, 20 * PERCENT)
    assert strip(client.get("/c/new")) is not None
    other_browser = client_of(owner)
    other_browser.post("/billing/alert/dismiss")
    set_limit(owner, 95 * PERCENT)
    assert strip(other_browser.get("/c/new")) is not None, "another limit"


def test_closing_works_without_script_and_leads_back(owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    spend(owner, 51 * PERCENT)
    assert client.post("/billing/alert/dismiss", headers={"Referer": "http://testserver/c/new"})["Location"] == "http://testserver/c/new"
    assert client.post("/billing/alert/dismiss", headers={"Referer": "http://evil.example/"})["Location"] == "/billing/usage/"
    assert client.get("/billing/alert/dismiss").status_code == 405


def test_whoever_is_asked_gets_their_own_strip(owner: User, stranger: User, client_of: ClientOf, client: Client) -> None:
    spend(owner, 60 * PERCENT)
    assert strip(client_of(owner).get("/billing/alert")) is not None
    assert strip(client_of(stranger).get("/billing/alert")) is None
    assert client.get("/billing/alert").status_code == 302
