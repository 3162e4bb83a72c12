"""The admin's view of money: all of it readable and linked, and two forms that move a limit, each a line with a reason."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, User
from billing import actions, audit, ledger_admin
from billing.models import Budget, LedgerCheck, LedgerEntry, PriceVersion, Reservation, StripeEvent
from billing.side_calls import SideCall
from billing.versions import recorded
from chatai.lib.ids import uuid7
from tests.threads.histories import conversation

MODELS = ("budget", "ledgerentry", "reservation", "priceversion", "ledgercheck", "stripeevent")
PRICE = {"input": "3", "output": "15", "cache_read": "0.30", "cache_write": "3.75"}


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.com", "x")


@pytest.fixture
def admin(root: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(root)


@pytest.fixture
def looker(client_of: Callable[[User], Client], member: User) -> Client:
    """Staff who may see everything of money and change nothing."""
    member.is_staff = True
    member.save()
    member.user_permissions.set(Permission.objects.filter(codename__startswith="view_", content_type__app_label="billing"))
    return client_of(member)


@pytest.fixture
def staff(client_of: Callable[[User], Client], stranger: User) -> Client:
    """Of the staff, with no right to anything."""
    stranger.is_staff = True
    stranger.save()
    return client_of(stranger)


@pytest.fixture
def key(owner: User) -> ApiKey:
    return keys.mint(owner, "App of the owner", max_spend_micros=2_000_000)[0]


@pytest.fixture
def line(owner: User, key: ApiKey) -> LedgerEntry:
    call = hold(owner, key)
    actions.settle_side_call(call, {"input_tokens": 11, "output_tokens": 7, "cache_read_input_tokens": 5, "estimated": 1})
    return LedgerEntry.objects.get(source=f"title:{call.id}")


def hold(user: User, key: ApiKey | None = None, **rest: Any) -> SideCall:
    call = SideCall("title", user.pk, key.pk if key else None, None, "demo", "demo", PRICE, input_tokens=200, max_tokens=50, **rest)
    assert actions.reserve_side_call(call).micros == 1500
    return call


def page(client: Client, name: str, *args: object, **query: str) -> str:
    response = client.get(reverse(f"admin:{name}", args=args), query)
    assert response.status_code == 200, response
    return str(response.content.decode())


def budget(user: User) -> Budget:
    return Budget.objects.get(user=user)


def move(client: Client, what: str, user: User, **form: str) -> int:
    """Fill in the form of the page and send it; the status."""
    address = reverse(f"admin:billing_budget_{what}", args=[budget(user).pk])
    once = re.search(r'name="once" value="([0-9a-f-]{36})"', client.get(address).content.decode())
    assert once
    return client.post(address, {"once": once[1], **form}).status_code


def test_a_grant_raises_the_limit_by_a_line_with_the_admin_and_the_reason(admin: Client, root: User, owner: User) -> None:
    assert move(admin, "grant", owner, usd="2.50", reason="A lost answer") == 302
    assert budget(owner).limit_micros == 7_500_000
    line = LedgerEntry.objects.latest("created_at")
    assert (line.kind, line.amount_micros, line.reason, line.actor_id) == ("credit", 2_500_000, "A lost answer", root.pk)
    personal = keys.personal_key(owner)
    assert personal is not None
    assert Budget.objects.get(key=personal).limit_micros == 7_500_000
    html = page(admin, "billing_budget_change", budget(owner).pk)
    assert "A lost answer" in html
    assert "$7.50" in html
    entry = LogEntry.objects.get(object_id=str(owner.pk))
    assert str(line.pk) in entry.change_message
    assert "lost answer" not in entry.change_message, "the reason is erased with the account, the history is not"
    assert audit.prove().first == ""


def test_the_limit_is_set_lowered_and_lifted_each_by_a_line_of_the_difference(admin: Client, owner: User) -> None:
    for form, limit, amount in (
        ({"usd": "20"}, 20_000_000, 15_000_000),
        ({"usd": "0"}, 0, -20_000_000),
        ({"unlimited": "on"}, None, 0),
        ({"usd": "1.01"}, 1_010_000, 1_010_000),
    ):
        assert move(admin, "limit", owner, reason="Because", **form) == 302
        line = LedgerEntry.objects.filter(user_id=owner.pk).latest("created_at")
        assert (budget(owner).limit_micros, line.amount_micros, line.kind) == (limit, amount, "adjust")
        assert audit.prove().first == ""


def test_the_same_form_sent_twice_moves_money_once(admin: Client, owner: User) -> None:
    address = reverse("admin:billing_budget_grant", args=[budget(owner).pk])
    form = {"once": str(uuid7()), "usd": "3", "reason": "Twice"}
    assert [admin.post(address, form).status_code for _ in range(2)] == [302, 302]
    assert budget(owner).limit_micros == 8_000_000
    assert "was sent before" in page(admin, "billing_budget_change", budget(owner).pk)


@pytest.mark.parametrize(
    ("what", "form"),
    [
        ("grant", {"usd": "5", "reason": ""}),
        ("grant", {"usd": "5", "reason": "  "}),
        ("grant", {"usd": "", "reason": "Because"}),
        ("grant", {"usd": "0", "reason": "Because"}),
        ("grant", {"usd": "-5", "reason": "Because"}),
        ("grant", {"usd": "NaN", "reason": "Because"}),
        ("grant", {"usd": "Infinity", "reason": "Because"}),
        ("grant", {"usd": "0.001", "reason": "Because"}),
        ("grant", {"usd": "1000001", "reason": "Because"}),
        ("grant", {"usd": "5", "reason": "Because", "once": "x"}),
        ("limit", {"usd": "5", "reason": ""}),
        ("limit", {"usd": "-1", "reason": "Because"}),
        ("limit", {"usd": "", "reason": "Because"}),
        ("limit", {"usd": "5", "unlimited": "on", "reason": "Because"}),
    ],
)
def test_a_form_that_makes_no_sense_or_gives_no_reason_moves_nothing(admin: Client, owner: User, what: str, form: dict[str, str]) -> None:
    before = LedgerEntry.objects.count()
    assert move(admin, what, owner, **form) == 200
    assert (budget(owner).limit_micros, LedgerEntry.objects.count()) == (5_000_000, before)


def test_who_may_only_look_moves_nothing_and_a_keys_cap_is_not_the_admins(looker: Client, admin: Client, owner: User, key: ApiKey) -> None:
    html = page(looker, "billing_budget_change", budget(owner).pk)
    assert "Grant credit" not in html
    of_key = Budget.objects.get(key=key).pk
    for what in ("grant", "limit"):
        form = {"once": str(uuid7()), "usd": "3", "reason": "Because"}
        assert looker.post(reverse(f"admin:billing_budget_{what}", args=[budget(owner).pk]), form).status_code == 403
        assert admin.post(reverse(f"admin:billing_budget_{what}", args=[of_key]), form).status_code == 403
        assert admin.post(reverse(f"admin:billing_budget_{what}", args=[987654]), form).status_code == 302
    assert budget(owner).limit_micros == 5_000_000


def test_people_without_the_right_see_nothing_of_money(client_of: Callable[[User], Client], owner: User, stranger: User) -> None:
    mine = budget(owner).pk
    for user in (owner, stranger):
        for name in MODELS:
            assert client_of(user).get(reverse(f"admin:billing_{name}_changelist"), follow=True).status_code == 403
        form = {"once": str(uuid7()), "usd": "3", "reason": "Because"}
        assert client_of(user).post(reverse("admin:billing_budget_grant", args=[mine]), form, follow=True).status_code == 403
    stranger.is_staff = True
    stranger.save()
    assert client_of(stranger).get(reverse("admin:billing_ledgerentry_changelist")).status_code == 403
    assert budget(owner).limit_micros == 5_000_000


def everything(owner: User, key: ApiKey, line: LedgerEntry) -> dict[str, object]:
    """One row of each model, by model."""
    now = timezone.now()
    return {
        "budget": budget(owner).pk,
        "ledgerentry": line.pk,
        "reservation": Reservation.objects.get().pk,
        "priceversion": PriceVersion.objects.get().pk,
        "ledgercheck": LedgerCheck.objects.create(seconds=1, lines=2, budgets=3, differences=0).pk,
        "stripeevent": StripeEvent.objects.create(id="evt_1", type="charge.refunded", created=now).pk,
    }


def test_nothing_else_can_be_written(admin: Client, owner: User, key: ApiKey, line: LedgerEntry) -> None:
    for name, pk in everything(owner, key, line).items():
        assert admin.get(reverse(f"admin:billing_{name}_change", args=[pk])).status_code == 200
        assert admin.post(reverse(f"admin:billing_{name}_change", args=[pk]), {"limit_micros": "1"}).status_code == 403
        assert admin.post(reverse(f"admin:billing_{name}_delete", args=[pk]), {"post": "yes"}).status_code == 403
        assert admin.post(reverse(f"admin:billing_{name}_add"), {}).status_code == 403
        action = {"action": "delete_selected", "_selected_action": [str(pk)], "post": "yes"}
        admin.post(reverse(f"admin:billing_{name}_changelist"), action)
        assert admin.get(reverse(f"admin:billing_{name}_change", args=[pk])).status_code == 200
    assert budget(owner).limit_micros == 5_000_000


def test_pages_hold_no_script_or_style_of_their_own(admin: Client, owner: User, key: ApiKey, line: LedgerEntry) -> None:
    for name, pk in everything(owner, key, line).items():
        for html in (page(admin, f"billing_{name}_changelist"), page(admin, f"billing_{name}_change", pk)):
            assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", html), name


def ids(html: str, name: str) -> list[str]:
    return re.findall(rf'/admin/billing/{name}/([^/"]+)/change/[^"]*">', html)


def test_the_ledger_is_filtered_and_adds_up_what_is_filtered(
    admin: Client, owner: User, stranger: User, key: ApiKey, line: LedgerEntry
) -> None:
    LedgerEntry.objects.create(
        kind="turn", source="turn:old", user_id=stranger.pk, cost_micros=1, created_at=timezone.now() - timedelta(days=40)
    )

    def listed(**query: str) -> tuple[set[str], str]:
        html = page(admin, "billing_ledgerentry_changelist", **query)
        return set(ids(html, "ledgerentry")), html

    mine = {str(line.pk), str(LedgerEntry.objects.get(source=f"account:{owner.pk}").pk)}
    assert listed(user_id=str(owner.pk))[0] == listed(q="owner@")[0] == listed(q=str(owner.pk))[0] == mine
    by_key = [listed(q=str(key.pk)), listed(user_id=str(owner.pk), key_id=str(key.pk))]
    assert [found for found, _ in by_key] == [{str(line.pk)}] * 2
    for query in ({"q": line.source}, {"q": str(line.pk)}, {"kind__exact": "title"}, {"estimated": "1"}, {"model": "demo"}):
        assert listed(**query)[0] == {str(line.pk)}, query
    assert listed(q=line.source.removeprefix("title:"))[0] == {str(line.pk)}
    assert listed(q="nothing")[0] == set()
    assert listed(day="2020-02-30")[0] == listed()[0], "a day that does not exist filters nothing"
    today = timezone.localdate()
    old = str(LedgerEntry.objects.get(source="turn:old").pk)
    assert old in listed(day=str(today - timedelta(days=40)))[0]
    for day in ("today", "week", str(today)):
        assert mine < listed(day=day)[0]
        assert old not in listed(day=day)[0]
    _, html = listed(user_id=str(owner.pk))
    told = re.sub(r"<[^>]+>|\s+", " ", html)
    for fact in ("Lines 2", "Spent $0.00014", "Paid in and granted $5.00", "Output tokens 7", "and 5 from a cache"):
        assert re.search(re.escape(fact).replace(r"\ ", r"\s+"), told), fact


def test_sums_that_take_too_long_are_left_out_with_a_word(admin: Client, line: LedgerEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_admin, "totals", lambda rows: None)
    assert "too many lines to add up" in page(admin, "billing_ledgerentry_changelist")


def test_a_line_explains_its_cost_and_leads_to_everything(admin: Client, owner: User, key: ApiKey, line: LedgerEntry) -> None:
    html = page(admin, "billing_ledgerentry_change", line.pk)
    for told in ("owner@example.com", str(key.pk), line.source, "gave no figures", ">33<", ">105<", ">1.50<", ">140<", "0.30"):
        assert told in html, told
    for name, pk in (("reservation", Reservation.objects.get().pk), ("priceversion", line.price_version_id)):
        assert reverse(f"admin:billing_{name}_change", args=[pk]) in html


def test_a_turn_its_line_and_its_user_lead_to_each_other(admin: Client, owner: User) -> None:
    turn = conversation(owner).turns.get(status="done")
    call = SideCall("turn", owner.pk, None, turn.thread_id, "demo", "demo", PRICE, 200, 50, turn_id=turn.pk, id=turn.pk)
    actions.reserve_side_call(call)
    assert "is held" in page(admin, "threads_turn_change", turn.pk)
    actions.settle_side_call(call, {"input_tokens": 10, "output_tokens": 154})
    line = LedgerEntry.objects.get(turn_id=turn.pk)
    html = page(admin, "threads_turn_change", turn.pk)
    assert reverse("admin:billing_ledgerentry_change", args=[line.pk]) in html
    assert "was held, and is settled" in html
    assert reverse("admin:threads_turn_change", args=[turn.pk]) in page(admin, "billing_ledgerentry_change", line.pk)
    assert ids(page(admin, "billing_ledgerentry_changelist", q=str(turn.pk)), "ledgerentry") == [str(line.pk)]
    of_thread = page(admin, "billing_ledgerentry_changelist", user_id=str(owner.pk), thread_id=str(turn.thread_id))
    assert ids(of_thread, "ledgerentry") == [str(line.pk)]
    user = page(admin, "accounts_user_change", owner.pk)
    assert f"/admin/billing/budget/?q={owner.pk}" in user
    found = ids(page(admin, "billing_budget_changelist", q=str(owner.pk)), "budget")
    assert len(found) == 2, "the account and the personal key"


def test_open_holds_are_listed_with_their_age_and_the_ended_ones_on_request(admin: Client, owner: User, line: LedgerEntry) -> None:
    call = hold(owner)
    Reservation.objects.filter(pk=call.id).update(
        lease_until=timezone.now() - timedelta(minutes=5), created_at=timezone.now() - timedelta(hours=3)
    )
    html = page(admin, "billing_reservation_changelist")
    assert ids(html, "reservation") == [str(call.id)]
    for told in ("$0.0015", "3 h", "ran out 5 min ago", "owner@example.com"):
        assert told in html, told
    assert ids(page(admin, "billing_reservation_changelist", state="late"), "reservation") == [str(call.id)]
    settled = line.source.removeprefix("title:")
    assert ids(page(admin, "billing_reservation_changelist", state="settled"), "reservation") == [settled]
    assert ids(page(admin, "billing_reservation_changelist", q="no id"), "reservation") == []


def test_a_version_of_a_price_tells_what_changed(admin: Client) -> None:
    first = recorded("some-model", PRICE)
    PriceVersion.objects.filter(pk=first).update(created_at=timezone.now() - timedelta(days=3))
    second = recorded("some-model", PRICE | {"output": "20.000000", "long_above": "200000"})
    html = page(admin, "billing_priceversion_changelist", q="some-model")
    assert "output: 15 → 20, long above: – → 200000" in html
    assert "the first" in html
    html = page(admin, "billing_priceversion_change", second)
    assert re.search(r'class="differs">.{0,80}Output</th><td>15</td><td>20</td>', html)
    assert html.count("differs") == 2
    assert reverse("admin:billing_priceversion_change", args=[first]) in html


def test_a_ledger_that_does_not_add_up_is_said_on_the_front_page_and_above_the_lines(admin: Client, staff: Client) -> None:
    assert "add up" not in page(admin, "index")
    LedgerCheck.objects.create(seconds=1, lines=2, budgets=3, differences=0)
    assert "Every line and counter added up" in page(admin, "index")
    LedgerCheck.objects.create(seconds=1, lines=2, budgets=3, differences=2, first="line 1 is wrong")
    for name in ("index", "billing_ledgerentry_changelist"):
        html = page(admin, name)
        assert "The ledger does not add up" in html
        assert "line 1 is wrong" in html
    assert "line 1 is wrong" not in page(staff, "index"), "only to who may see money"


@pytest.mark.parametrize("name", MODELS)
def test_a_list_costs_the_same_few_statements_however_long_it_is(
    admin: Client, owner: User, stranger: User, key: ApiKey, name: str
) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            page(admin, f"billing_{name}_changelist")
        return len(queries)

    def more(user: User) -> None:
        actions.settle_side_call(hold(user), {"input_tokens": 1})
        hold(user)
        recorded(f"model-of-{user.name}", PRICE)
        actions.credit(user, 5, "credit", f"gift:{user.pk}", "A gift", user)
        LedgerCheck.objects.create(seconds=1, lines=2, budgets=3, differences=0)

    more(owner)
    page(admin, f"billing_{name}_changelist")
    before = cost()
    for number in range(4):
        more(User.objects.create_user(f"person{number}@example.com", name=str(number)))
    assert cost() == before <= 12
