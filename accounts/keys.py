"""API keys: minted once, kept as a digest, recognised by it."""

import copy
import hashlib
import secrets
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import ApiKey, User
from chatai.lib.ids import uuid7

MARK = "qlk_live_"
TOUCH_EVERY = timedelta(minutes=1)  # how exact `last_used_at` is; a write per request would cost more than it tells


def mint(
    user: User,
    name: str,
    scope: str = ApiKey.Scope.STANDARD,
    max_spend_micros: int | None = None,
    personal: bool = False,
    *,
    id: UUID | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its secret, which exists nowhere else. The cap is for its lifetime, in micro-dollars; None means none.

    With an `id` that is taken: django.db.IntegrityError.
    """
    secret = MARK + secrets.token_hex(32)
    key = ApiKey.objects.create(
        id=id or uuid7(),
        user=user,
        name=name,
        digest=_digest(secret),
        prefix=_prefix(secret),
        scope=ApiKey.Scope(scope),
        max_spend_micros=max_spend_micros,
        personal=personal,
    )
    return key, secret


def mint_once(
    minter: ApiKey, idempotency_key: str, *, name: str, scope: str = ApiKey.Scope.STANDARD, max_spend_micros: int | None = None
) -> tuple[ApiKey, str]:
    """As `mint`, for an app that may have to repeat itself: with an idempotency key the secret follows from it, the minting key
    and the server's own secret, so that a repetition finds the key that is there already (whose fields may be others)."""
    if not idempotency_key:
        return mint(minter.user, name, scope, max_spend_micros)
    message = f"{minter.pk}\n{idempotency_key}"
    secret = MARK + salted_hmac("accounts.keys.mint_once", message, algorithm="sha256").hexdigest()
    fields = {"user": minter.user, "name": name, "scope": ApiKey.Scope(scope), "max_spend_micros": max_spend_micros}
    key, _ = ApiKey.objects.get_or_create(digest=_digest(secret), defaults={**fields, "prefix": _prefix(secret)})
    return key, secret


def mint_personal(user: User) -> ApiKey:
    """The key that the user's own chats run on, capped by NEW_USER_BUDGET_USD unless an operator owns it."""
    operator = user.is_staff or user.is_superuser
    cap = None if operator else micros(settings.NEW_USER_BUDGET_USD)
    return mint(user, "Personal", max_spend_micros=cap, personal=True)[0]


def personal_key(user: User) -> ApiKey | None:
    """None when it was revoked: then nothing may be spent until an operator mints another."""
    return ApiKey.objects.for_user(user).usable().filter(personal=True).first()


# PostgreSQL's own row versions (who wrote it, and where it lies): another one with every write to the key or its user, whichever
# process made it.
VERSION = """
SELECT concat_ws('/', k.xmin, k.ctid, u.xmin, u.ctid) FROM accounts_apikey k JOIN accounts_user u ON u.id = k.user_id
WHERE k.digest = %s AND k.revoked_at IS NULL AND u.is_active
"""
MOST_KNOWN = 10_000
_known: dict[bytes, tuple[str, ApiKey]] = {}


def authenticate(secret: str) -> ApiKey | None:
    """The usable key of this secret, its user loaded. One digest and one query whatever is presented.

    What is kept from earlier requests is only the loaded row, which costs more than the query; the query still asks each time,
    so a revoked key is refused at once in every process, and no message between them can be lost.
    """
    digest = _digest(secret)
    with connection.cursor() as cursor:
        cursor.execute(VERSION, [digest])
        found = cursor.fetchone()
    if found is None:
        _known.pop(digest, None)
        return None
    version, key = _known.get(digest, ("", None))
    if key is None or version != found[0]:
        key = ApiKey.objects.usable().select_related("user").filter(digest=digest).first()
        if key is None:
            return None
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[digest] = (found[0], key)
    key = copy.copy(key)
    _touch(key)
    return key


def revoke(key: ApiKey) -> None:
    """At once and for good; a second time changes nothing."""
    now = timezone.now()
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now):
        key.revoked_at = now


def micros(usd: Decimal) -> int:
    return int(usd * 1_000_000)


def _prefix(secret: str) -> str:
    return f"{secret[:13]}…{secret[-4:]}"


def _touch(key: ApiKey) -> None:
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > TOUCH_EVERY:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
        key.last_used_at = now


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
