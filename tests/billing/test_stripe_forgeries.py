"""What did not come from Stripe, just now, for this endpoint, does nothing."""

from __future__ import annotations

import json
import random
import time

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from billing.models import StripeEvent
from tests.billing import stripe_stories as stories
from tests.billing.stripe_fixtures import WEBHOOK_SECRET
from tests.billing.stripe_stories import DOLLAR, deliver, limit, send
from tests.fake_stripe.delivery import encode, sign
from tests.fake_stripe.server import FakeStripe
from tests.fake_stripe.wire import Json

MINUTE = 60


@pytest.fixture
def event(stripe: FakeStripe, customer: str) -> Json:
    """Of $10 that were paid."""
    stories.paid(stripe, customer)
    stripe.requests.clear()
    return stories.events(stripe)[-1]


def nothing_happened(stripe: FakeStripe, owner: User) -> bool:
    return limit(owner) == 5 * DOLLAR and not StripeEvent.objects.exists() and stripe.requests == []


def test_the_true_one_is_taken(stripe: FakeStripe, event: Json, owner: User) -> None:
    assert deliver(Client(), event, at=time.time() - 4 * MINUTE) == 200
    assert limit(owner) == 15 * DOLLAR


def test_a_signature_of_nothing(stripe: FakeStripe, event: Json, owner: User) -> None:
    body, now = encode(event), int(time.time())
    for signature in (
        "",
        "x",
        "t=,v1=",
        f"t={now}",
        f"t={now},v1=",
        f"t={now},v1={'0' * 64}",
        f"t={now},v0={sign(body, WEBHOOK_SECRET)[-64:]}",
    ):
        assert send(Client(), body, signature) == 400, signature
    assert nothing_happened(stripe, owner)


def test_one_byte_changed_anywhere(stripe: FakeStripe, event: Json, owner: User) -> None:
    body, client, dice = encode(event), Client(), random.Random(3)
    signature = sign(body, WEBHOOK_SECRET)
    for place in dice.sample(range(len(body)), 200):
        forged = body[:place] + bytes([body[place] ^ 1 << dice.randrange(8)]) + body[place + 1 :]
        assert send(client, forged, signature) == 400, place
    for place in range(len(signature)):
        forged_signature = signature[:place] + ("1" if signature[place] != "1" else "2") + signature[place + 1 :]
        assert send(client, body, forged_signature) == 400, place
    assert nothing_happened(stripe, owner)


def test_six_minutes_old(stripe: FakeStripe, event: Json, owner: User) -> None:
    assert deliver(Client(), event, at=time.time() - 6 * MINUTE) == 400
    assert nothing_happened(stripe, owner)


def test_the_secret_of_another_endpoint(stripe: FakeStripe, event: Json, owner: User) -> None:
    assert deliver(Client(), event, secret="whsec_other") == 400
    assert nothing_happened(stripe, owner)


def test_five_megabytes(stripe: FakeStripe, event: Json, owner: User) -> None:
    padded = encode({**event, "padding": "x" * 5_000_000})
    assert send(Client(), padded, sign(padded, WEBHOOK_SECRET)) == 400
    assert nothing_happened(stripe, owner)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"object": "event"}', b'{"id": "evt_1", "type": "x", "data": 1}']
)
def test_what_is_signed_but_no_event(stripe: FakeStripe, owner: User, body: bytes) -> None:
    assert send(Client(), body, sign(body.decode(errors="replace").encode(), WEBHOOK_SECRET)) == 400
    assert nothing_happened(stripe, owner)


def test_what_the_payload_claims_is_not_believed(stripe: FakeStripe, event: Json, owner: User) -> None:
    """Signed and all: amounts come from Stripe, not from the message."""
    told = json.loads(encode(event).decode().replace("10000000", "99000000").replace("1000,", "9900,"))
    assert told != event
    assert deliver(Client(), told) == 200
    assert limit(owner) == 15 * DOLLAR


def test_a_new_secret_beside_the_old_one(stripe: FakeStripe, event: Json, owner: User, settings: Settings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", WEBHOOK_SECRET]
    assert deliver(Client(), event) == 200
    assert deliver(Client(), event, secret="whsec_new") == 200
    assert limit(owner) == 15 * DOLLAR


def test_without_a_secret_nothing_is_believed(stripe: FakeStripe, event: Json, owner: User, settings: Settings) -> None:
    settings.STRIPE_WEBHOOK_SECRETS = []
    assert deliver(Client(), event) == 400
    assert deliver(Client(), event, secret="") == 400
    assert nothing_happened(stripe, owner)


def test_only_posts(client: Client, db: None) -> None:
    assert client.get("/billing/webhook").status_code == 405
