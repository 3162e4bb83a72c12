"""What tools do when something happens to an account."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from accounts.models import User
from accounts.signals import account_closing
from tools import leftovers


@receiver(account_closing)
def set_tokens_aside(user: User, **_: Any) -> None:
    leftovers.of_account(user.pk)
