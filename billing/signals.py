"""Who comes and goes elsewhere, and what that means for money."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from accounts.models import ApiKey, User
from accounts.signals import account_closing, account_opened_by_operator
from billing import actions


@receiver(post_save, sender=User)
def open_account_budget(instance: User, created: bool, raw: bool = False, **_: Any) -> None:
    if created and not raw:
        actions.open_account(instance)


@receiver(post_save, sender=ApiKey)
def follow_cap_of_key(instance: ApiKey, created: bool, raw: bool = False, update_fields: Any = None, **_: Any) -> None:
    """What accounts write into a key's cap is what the key may spend."""
    if not raw and (created or update_fields is None or "max_spend_micros" in update_fields):
        actions.cap_key(instance.pk, instance.max_spend_micros)


@receiver(account_opened_by_operator)
def lift_limits(user: User, **_: Any) -> None:
    actions.lift_limits(user)


@receiver(account_closing)
def keep_lines_without_identity(user: User, **_: Any) -> None:
    actions.erase(user)
