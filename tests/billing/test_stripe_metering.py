"""What tenants spend reaches Stripe's meter: each line once, under its key."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.keys import mint
from accounts.models import ApiKey, User
from billing import metering, tasks
from billing.models import MeterReport, StripeCustomer
from tests.billing.spending import spend
from tests.fake_stripe.server import FakeStripe

BEFORE = timedelta(minutes=5)


@pytest.fixture
def tenant(stripe: FakeStripe, customer: str, owner: User, settings: Settings) -> ApiKey:
    """A key of an account whose usage is reported since an hour ago."""
    settings.STRIPE_METER = "chatai_micros"
    StripeCustomer.objects.filter(pk=customer).update(metered_since=timezone.now() - timedelta(hours=1))
    return mint(owner, "app")[0]


def spent(user: User, micros: int, key: ApiKey | None = None, ago: timedelta = BEFORE) -> str:
    return str(spend(user, micros, key=key, at=timezone.now() - ago).pk)


def test_each_line_is_reported_once_with_its_key(stripe: FakeStripe, customer: str, tenant: ApiKey, owner: User) -> None:
    first, second = spent(owner, 1200, tenant), spent(owner, 34)
    for _ in range(3):
        tasks.report_usage()
    assert set(stripe.books.meter_events) == {first, second}
    event = stripe.books.meter_events[first]
    assert event["event_name"] == "chatai_micros"
    assert event["payload"] == {"stripe_customer_id": customer, "value": "1200", "key": str(tenant.pk), "model": "demo"}
    assert timezone.now().timestamp() - event["timestamp"] > 200, "at the time it was spent"
    third = spent(owner, 5, tenant)
    assert metering.report() == 1
    assert third in stripe.books.meter_events


def test_only_what_was_agreed_on(stripe: FakeStripe, tenant: ApiKey, owner: User, stranger: User) -> None:
    """Not before it was switched on, not of others, not free calls, not lines that are not old enough to be all there."""
    spent(owner, 10, tenant, timedelta(hours=2))
    spent(stranger, 10)
    spent(owner, 0, tenant)
    spent(owner, 10, tenant, timedelta(0))
    assert metering.report() == 0
    assert stripe.books.meter_events == {}


def test_a_death_after_sending_reports_nothing_twice(
    stripe: FakeStripe, tenant: ApiKey, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = spent(owner, 10, tenant)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("django.db.models.query.QuerySet.update", die)
        with pytest.raises(KeyboardInterrupt):
            metering.report()
    assert list(stripe.books.meter_events) == [line]
    assert metering.report() == 0, "somebody may be at it"
    MeterReport.objects.update(claimed_at=timezone.now() - timedelta(minutes=20))
    assert metering.report() == 1, "asked again, and told that it is there"
    assert MeterReport.objects.get().reported_at is not None
    assert stripe.requests.count(("POST", "/v1/billing/meter_events")) == 2
    assert len(stripe.books.meter_events) == 1


def test_what_stripe_does_not_take_is_sent_later(stripe: FakeStripe, tenant: ApiKey, owner: User) -> None:
    lines = {spent(owner, 10, tenant) for _ in range(3)}
    stripe.down = True
    assert metering.report() == 0
    stripe.down = False
    MeterReport.objects.update(claimed_at=timezone.now() - timedelta(minutes=20))
    assert metering.report() == 3
    assert set(stripe.books.meter_events) == lines


def test_what_cannot_be_sent_safely_any_more_is_named(
    stripe: FakeStripe, tenant: ApiKey, owner: User, caplog: pytest.LogCaptureFixture
) -> None:
    spent(owner, 10, tenant)
    stripe.down = True
    metering.report()
    stripe.down = False
    long_ago = timezone.now() - timedelta(hours=24)
    MeterReport.objects.update(claimed_at=long_ago, first_claimed_at=long_ago)
    tasks.report_usage()
    assert stripe.books.meter_events == {}
    assert "1 ledger lines may not have reached" in caplog.text


def test_nothing_is_reported_unless_it_is_switched_on(stripe: FakeStripe, tenant: ApiKey, owner: User, settings: Settings) -> None:
    spent(owner, 10, tenant)
    settings.STRIPE_METER = ""
    tasks.report_usage()
    assert not MeterReport.objects.exists()


def test_an_administrator_says_from_when(stripe: FakeStripe, tenant: ApiKey, customer: str, owner: User, client: Client) -> None:
    client.force_login(User.objects.create_superuser("root@example.com", "x"), backend="django.contrib.auth.backends.ModelBackend")
    spent(owner, 10, tenant)
    metering.report()
    address = f"/admin/billing/stripecustomer/{customer}/change/"
    html = client.get(address).content.decode()
    assert "1, and 0 on the way" in html
    assert html.count('type="text"') == 2, "a date and a time, nothing else"
    assert client.post(address, {"metered_since_0": "", "metered_since_1": "", "user": "", "id": "cus_other"}).status_code == 302
    found = StripeCustomer.objects.get()
    assert (found.pk, found.user, found.metered_since) == (customer, owner, None)
    assert customer in client.get("/admin/billing/stripecustomer/", {"q": owner.email}).content.decode()
