"""A Stripe of its own for whoever asks for one, and somebody who is its customer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from accounts.models import User
from billing import checkout
from tests.fake_stripe.server import FakeStripe

WEBHOOK_SECRET = "whsec_test"


@pytest.fixture
def stripe(settings: Settings) -> Iterator[FakeStripe]:
    """Switched on, with a plan of $20 (or 3,000 yen) a month that gives $25 of credit, and one of $100 that gives $150."""
    with FakeStripe() as fake:
        settings.STRIPE_SECRET_KEY = fake.secret_key
        settings.STRIPE_API_BASE = fake.url
        settings.STRIPE_PAGES = [fake.url]
        settings.STRIPE_WEBHOOK_SECRETS = [WEBHOOK_SECRET]
        settings.BILLING_PLANS = [f"Small:{fake.price('Small', 2000, jpy=3000)}:25", f"Large:{fake.price('Large', 10000)}:150"]
        yield fake


@pytest.fixture
def customer(stripe: FakeStripe, owner: User) -> str:
    """The owner's customer at Stripe."""
    return checkout.customer_of(owner)
