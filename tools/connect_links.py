"""One-time addresses at which somebody connects a service. Whoever has one may use it once, for ten minutes."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from tools.connected import ConnectLink, McpServer

LIFE = timedelta(minutes=10)
KEPT = timedelta(days=1)  # after its end, so that whoever comes late is told so


def mint(user_id: UUID, holder: str, service: str, server: McpServer | None, thread_id: UUID | None = None) -> tuple[str, datetime]:
    """The address, which is stored nowhere, and when it ends."""
    token = secrets.token_urlsafe(32)
    expires_at = timezone.now() + LIFE
    ConnectLink.objects.create(
        digest=digest(token), user_id=user_id, holder=holder, service=service, server=server, thread_id=thread_id, expires_at=expires_at
    )
    return f"{settings.SITE_URL}/connect/{token}", expires_at


def find(token: str) -> ConnectLink | None:
    """The link, spent or not; None for one that never was."""
    return ConnectLink.objects.select_related("user", "server").filter(digest=digest(token)).first()


def find_by_state(state: str) -> ConnectLink | None:
    return ConnectLink.objects.select_related("user", "server").filter(state_digest=digest(state)).first()


def is_open(link: ConnectLink) -> bool:
    revoked = link.server is not None and link.server.revoked_at is not None
    return link.used_at is None and link.expires_at > timezone.now() and link.user.is_active and not revoked


def spend(link: ConnectLink) -> bool:
    """Whether this is its one use."""
    now = timezone.now()
    return bool(ConnectLink.objects.filter(pk=link.pk, used_at=None, expires_at__gt=now).update(used_at=now, sealed=""))


def thread_of(given: str) -> UUID | None:
    """The chat to come back to, if that is what was given. Nothing is looked up: the page of a chat asks who is there itself."""
    try:
        return UUID(given)
    except ValueError:
        return None


def forget_old() -> int:
    return ConnectLink.objects.filter(expires_at__lt=timezone.now() - KEPT).delete()[0]


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
