"""`python -m tests.fake_stripe`: a Stripe for developers. Prints the variables to start chatai with."""

import argparse
import signal

from tests.fake_stripe.server import FakeStripe

SECRET = "whsec_fake"

parser = argparse.ArgumentParser(prog="tests.fake_stripe", description=__doc__)
parser.add_argument("--port", type=int, default=12111)
parser.add_argument("--webhook", default="http://127.0.0.1:8000/billing/webhook", help="where events go")
chosen = parser.parse_args()

with FakeStripe(chosen.port) as stripe:
    stripe.deliveries.endpoints.append((chosen.webhook, SECRET))
    plan = stripe.price("Monthly credit", 2000)
    print(f"Fake Stripe on {stripe.url} (what happened, refunds, disputes, renewals). Start chatai with:")
    print(f"STRIPE_API_BASE={stripe.url} STRIPE_SECRET_KEY={stripe.secret_key} STRIPE_WEBHOOK_SECRET={SECRET}", end=" ")
    print(f"BILLING_PLANS='Monthly credit:{plan}:25' STRIPE_METER=chatai_micros", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
