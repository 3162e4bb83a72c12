"""Whose credentials a turn may use. A holder is a word that connections are filed under, beside the account."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from accounts.models import ApiKey
from tools.database import in_thread
from tools.values import Caller

ERASED = "erased:"  # begins the holder of what nobody has any more, until the vendor was told
ACCOUNT = "account"  # the person's own chats, and the account's admin keys


def holder(key_id: UUID | None, end_user_id: str | None) -> str:
    """What a standard key connects is used by that key alone, as its threads are: whoever holds one may name any end user."""
    of_key = f"key:{key_id}" if key_id is not None and not _speaks_for_account(key_id) else ""
    of_end_user = f"end_user:{end_user_id}" if end_user_id else ""
    return "/".join(part for part in (of_key, of_end_user) if part) or ACCOUNT


def holders_of_end_user(key: ApiKey, end_user_id: str) -> list[str]:
    """All that this key may erase of an end user: an admin key what any key of the account connected for them."""
    own = holder(key.pk, end_user_id)
    if own.startswith("key:"):
        return [own]
    keys = ApiKey.objects.for_user(key.user).values_list("pk", flat=True)
    return [own, *(f"key:{key_id}/end_user:{end_user_id}" for key_id in keys)]


async def holder_of(caller: Caller) -> str:
    return await in_thread(holder, caller.key_id, caller.end_user_id)


@lru_cache(maxsize=10_000)  # neither ever changes
def _speaks_for_account(key_id: UUID) -> bool:
    key = ApiKey.objects.only("personal", "scope").get(pk=key_id)
    return key.personal or key.scope == ApiKey.Scope.ADMIN
