"""A stand-in for Stripe that speaks its HTTP: the shapes of its API, hosted pages to click through, signed webhooks.

Tests start one in their own process; developers run `python -m tests.fake_stripe` and point STRIPE_API_BASE at it.
What it knows is in memory and gone when it ends. Shapes are those of API version 2026-10-28, with the fields that anyone
here reads and a few around them; what it does not know it refuses, so that nothing is tested against a guess.
"""
