"""Writes with consequences, called by every door."""

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction
from django.utils import timezone

from accounts import sessions
from accounts.models import ApiKey, User
from accounts.signals import account_closing


@transaction.atomic
def close_account(user: User) -> None:
    """Sign out everywhere, revoke every key and erase everything of this user, in every app."""
    owner = User.objects.select_for_update().get(pk=user.pk)
    ApiKey.objects.for_user(owner).filter(revoked_at=None).update(revoked_at=timezone.now())
    sessions.end_all(owner)
    account_closing.send(sender=User, user=owner)
    _erase_admin_log(User, [owner.pk])
    _erase_admin_log(ApiKey, ApiKey.objects.for_user(owner).values_list("pk", flat=True))
    owner.delete()


def _erase_admin_log(model: type[models.Model], ids: Any) -> None:
    # The admin's log keeps names and addresses as plain text, without a foreign key.
    LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(model), object_id__in=[str(pk) for pk in ids]).delete()
