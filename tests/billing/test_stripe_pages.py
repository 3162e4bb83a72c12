"""The pages of paying: what each person sees, and where their buttons lead."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from billing import actions, checkout
from billing.models import StripeCustomer
from tests.billing import stripe_stories as stories
from tests.billing.stripe_stories import DOLLAR, deliver, limit, price
from tests.fake_stripe.server import FakeStripe
from tests.fake_stripe.wire import Json

ClientOf = Callable[[User], Client]


@pytest.fixture
def mine(owner: User, client_of: ClientOf) -> Client:
    return client_of(owner)


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def session_of(stripe: FakeStripe, location: str) -> Json:
    assert location.startswith(f"{stripe.url}/c/pay/cs_test_")
    return stripe.books.find("checkout.session", urlsplit(location).path.rsplit("/", 1)[1])


def test_without_keys_the_page_says_how_to_switch_it_on(mine: Client, client_of: ClientOf) -> None:
    html = text(mine, "/billing/")
    for word in ("Ask them", "grant credit", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "http://testserver/billing/webhook"):
        assert word in html
    assert "Add money" not in html
    assert "<details>" in html
    admin = client_of(User.objects.create_superuser("root@example.com", "x"))
    assert "<details open>" in text(admin, "/billing/")
    for address in ("plans/", "invoices/", "done/?session_id=cs_test_1"):
        assert mine.get(f"/billing/{address}").headers["Location"] == "/billing/"
    for address, fields in (("top-up/", {"micros": "5000000"}), ("portal/", {})):
        assert mine.post(f"/billing/{address}", fields).headers["Location"] == "/billing/"


def test_a_top_up_leads_to_checkout_for_that_amount(stripe: FakeStripe, mine: Client, owner: User) -> None:
    assert "$25.00" in text(mine, "/billing/")
    answer = mine.post("/billing/top-up/", {"micros": "25000000", "request_id": "r1"})
    assert answer.status_code == 303
    session = session_of(stripe, answer.headers["Location"])
    assert (session["mode"], session["amount_total"], session["currency"]) == ("payment", 2500, "usd")
    assert session["success_url"] == "http://testserver/billing/done/?session_id={CHECKOUT_SESSION_ID}"
    assert session["cancel_url"] == "http://testserver/billing/"
    customer = stripe.books.find("customer", session["customer"])
    assert customer["email"] == owner.email
    assert StripeCustomer.objects.get(user=owner).pk == customer["id"]


def test_a_form_that_is_sent_twice_is_one_payment(stripe: FakeStripe, mine: Client) -> None:
    sent = [mine.post("/billing/top-up/", {"micros": "5000000", "request_id": "r1"}) for _ in range(3)]
    assert len({answer.headers["Location"] for answer in sent}) == 1
    other = mine.post("/billing/top-up/", {"micros": "10000000", "request_id": "r1"})
    assert session_of(stripe, other.headers["Location"])["amount_total"] == 1000
    assert len(stripe.books.newest("checkout.session")) == 2
    assert len(stripe.books.newest("customer")) == 1


@pytest.mark.parametrize("micros", ["", "1", "-5000000", "5000001", "5e6", "9" * 40])
def test_only_the_amounts_on_the_page(stripe: FakeStripe, mine: Client, micros: str) -> None:
    assert mine.post("/billing/top-up/", {"micros": micros, "request_id": "r"}).status_code == 400
    assert mine.post("/billing/plans/subscribe/", {"price": micros, "request_id": "r"}).status_code == 400
    assert stripe.requests == []


def test_coming_back_from_checkout_the_money_is_there(stripe: FakeStripe, mine: Client, owner: User) -> None:
    """Before the event, and not a second time with it."""
    session = session_of(stripe, mine.post("/billing/top-up/", {"micros": "10000000"}).headers["Location"])
    back = f"/billing/done/?session_id={session['id']}"
    assert "as soon as Stripe has the payment" in mine.get(back, follow=True).content.decode()
    assert limit(owner) == 5 * DOLLAR, "nothing was paid yet"
    stripe.books.pay(session["id"])
    html = mine.get(back, follow=True).content.decode()
    assert "Your payment has arrived" in html
    assert "$15.00</span> <small>left of $15.00" in html
    for event in stripe.books.events:
        assert deliver(Client(), event) == 200
    mine.get(back)
    assert limit(owner) == 15 * DOLLAR


def test_a_payment_is_collected_by_whoever_made_it(
    stripe: FakeStripe, mine: Client, owner: User, stranger: User, client_of: ClientOf
) -> None:
    session = session_of(stripe, mine.post("/billing/top-up/", {"micros": "10000000"}).headers["Location"])
    stripe.books.pay(session["id"])
    theirs = client_of(stranger)
    checkout.customer_of(stranger)
    for given in (session["id"], "cs_test_none", "", "../customers"):
        assert theirs.get("/billing/done/", {"session_id": given}).status_code == 404
    assert (limit(owner), limit(stranger)) == (5 * DOLLAR, 5 * DOLLAR)


def test_plans_show_what_they_cost_and_which_one_is_mine(stripe: FakeStripe, mine: Client, owner: User) -> None:
    html = text(mine, "/billing/plans/")
    assert "$20.00 every month" in html
    assert "$150.00 of credit" in html
    assert "Your plan" not in html
    session = session_of(stripe, mine.post("/billing/plans/subscribe/", {"price": price(0), "request_id": "r"}).headers["Location"])
    assert (session["mode"], session["amount_total"]) == ("subscription", 2000)
    stripe.books.pay(session["id"])
    mine.get("/billing/done/", {"session_id": session["id"]})
    assert limit(owner) == 30 * DOLLAR
    html = text(mine, "/billing/plans/")
    assert html.count("Your plan") == 1
    assert "Renews on" in html


def test_who_has_a_plan_changes_it_in_the_portal(stripe: FakeStripe, customer: str, mine: Client) -> None:
    stories.subscribed(stripe, customer)
    answer = mine.post("/billing/plans/subscribe/", {"price": price(1), "request_id": "r"})
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"{stripe.url}/p/session/bps_")
    assert len(stripe.books.newest("subscription")) == 1


def test_the_portal_is_the_customers_own(stripe: FakeStripe, customer: str, mine: Client) -> None:
    answer = mine.post("/billing/portal/")
    portal = stripe.books.find("billing_portal.session", answer.headers["Location"].rsplit("/", 1)[1])
    assert (answer.status_code, portal["customer"], portal["return_url"]) == (303, customer, "http://testserver/billing/")


def test_invoices_and_receipts_of_ones_own(stripe: FakeStripe, customer: str, mine: Client, stranger: User, client_of: ClientOf) -> None:
    assert "Nothing yet" in text(mine, "/billing/invoices/")
    intent = stories.paid(stripe, customer, 25)
    stories.subscribed(stripe, customer)
    stripe.books.refund(intent, 500)
    html = text(mine, "/billing/invoices/")
    for word in (
        "$25.00",
        "Partly refunded",
        "$20.00",
        "Paid",
        "Plan, invoice",
        f"{stripe.url}/receipts/ch_",
        f"{stripe.url}/invoices/in_",
    ):
        assert word in html
    assert html.count('class="bill"') == 2, "the plan's own charge is not listed a second time"
    theirs = client_of(stranger)
    checkout.customer_of(stranger)
    assert "Nothing yet" in text(theirs, "/billing/invoices/")


def test_what_was_added_and_taken_back_is_listed(stripe: FakeStripe, customer: str, mine: Client) -> None:
    stripe.books.refund(stories.paid(stripe, customer), 500)
    for event in stories.events(stripe):
        deliver(Client(), event)
    html = text(mine, "/billing/")
    for word in ("New account", "+$5.00", "Top-up", "+$10.00", "Refund"):
        assert word in html


def test_when_stripe_is_away_the_pages_say_so(stripe: FakeStripe, customer: str, mine: Client) -> None:
    stripe.down = True
    for address in ("plans/", "invoices/"):
        answer = mine.get(f"/billing/{address}")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert "cannot be reached" in answer.content.decode()
    answer = mine.post("/billing/top-up/", {"micros": "5000000"}, follow=True)
    assert "nothing was paid" in answer.content.decode()
    assert text(mine, "/billing/")


def test_forms_may_lead_to_stripe_only_where_it_is_switched_on(stripe: FakeStripe, mine: Client, settings: Settings, owner: User) -> None:
    def allowed() -> str:
        client = Client()
        client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
        policy = client.get("/billing/").headers["Content-Security-Policy"]
        return next(part for part in policy.split("; ") if part.startswith("form-action"))

    assert allowed() == f"form-action 'self' {stripe.url}"
    settings.STRIPE_SECRET_KEY = ""
    assert allowed() == "form-action 'self'"


def test_nothing_is_sold_to_an_account_without_a_limit(stripe: FakeStripe, mine: Client, owner: User) -> None:
    actions.lift_limits(owner)
    html = text(mine, "/billing/")
    assert "Add money" not in html
    assert "Open at Stripe" in html, "it may pay afterwards, by a card there"
    for address, fields in (("top-up/", {"micros": "5000000"}), ("plans/subscribe/", {"price": price(0)})):
        assert mine.post(f"/billing/{address}", fields).headers["Location"] == "/billing/"
    assert stripe.books.newest("checkout.session") == []
