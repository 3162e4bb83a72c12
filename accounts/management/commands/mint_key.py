"""Mint an API key from the shell: prints one line of JSON with `id` and `secret`."""

import json
from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import transaction

from accounts import keys
from accounts.models import ApiKey, User
from accounts.signals import account_opened_by_operator


class Command(BaseCommand):
    help = "Mint an API key for an account, making the account if needed; prints its id and its secret, which is shown only once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--email", required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument("--scope", choices=ApiKey.Scope.values, default=ApiKey.Scope.STANDARD)
        parser.add_argument("--max-spend-usd", help="Lifetime cap in dollars; without it there is none.")

    @transaction.atomic
    def handle(self, *args: Any, email: str, name: str, scope: str, max_spend_usd: str | None, **options: Any) -> None:
        cap = _micros(max_spend_usd)
        key, secret = keys.mint(_owner(email), name.strip()[:200], scope, cap)
        self.stdout.write(json.dumps({"id": str(key.pk), "secret": secret}))


def _owner(email: str) -> User:
    try:
        validate_email(email)
    except ValidationError:
        raise CommandError(f"{email!r} is not an e-mail address.") from None
    # Without a password nobody can sign in to it until its owner asks for a reset mail.
    found = User.objects.filter(email__iexact=email).first()
    if found is not None:
        return found
    made = User.objects.create_user(email)
    account_opened_by_operator.send(sender=User, user=made)
    return made


def _micros(usd: str | None) -> int | None:
    if usd is None:
        return None
    try:
        amount = Decimal(usd)
    except InvalidOperation:
        raise CommandError(f"--max-spend-usd {usd!r} is not a number.") from None
    if not amount.is_finite() or not 0 <= amount <= 1_000_000:
        raise CommandError("--max-spend-usd must be between 0 and 1000000.")
    return keys.micros(amount)
