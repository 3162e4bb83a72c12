"""Who is signed in: the session and its owner in one small prepared statement. Through the ORM that is a third of what a send costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessions
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.functional import SimpleLazyObject

from accounts.models import User
from chatai.lib import prepared
from chatai.lib.link import Link
from chatai.lib.prepared import Statement

FIELDS = [field.attname for field in User._meta.concrete_fields]
# The list of a person's sessions names the owner of each; who it is, the signed session itself must say.
SESSION = Statement(f"""
SELECT s.session_data, {", ".join(f"u.{field.column}" for field in User._meta.concrete_fields)} FROM django_session s
LEFT JOIN usersessions_usersession l ON l.session_key = s.session_key LEFT JOIN accounts_user u ON u.id = l.user_id AND u.is_active
WHERE s.session_key = %(key)s AND s.expire_date > now()
""")


class SessionStore(DatabaseSessions):
    """Django's sessions in the database (SESSION_ENGINE); `owner` is set by loading one."""

    owner: User | None = None

    def load(self) -> dict[str, Any]:
        found = prepared.row(SESSION, {"key": self.session_key})
        if found is None:
            self._session_key = None
            return {}
        return self.found(found)

    def found(self, row: Sequence[Any]) -> dict[str, Any]:
        """What the session holds, by a row of SESSION."""
        data, *owner = row
        if owner[0] is not None:
            self.owner = User.from_db("default", FIELDS, owner)
        return self.decode(data)


class SignedIn(AuthenticationMiddleware):
    """Sets `request.user`, as Django's own does."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        request.user = SimpleLazyObject(lambda: _cached(request))  # type: ignore[assignment]


def _cached(request: Any) -> User | AnonymousUser:
    if not hasattr(request, "_cached_user"):
        request._cached_user = who(request)
    return request._cached_user  # type: ignore[no-any-return]


def who(request: HttpRequest) -> User | AnonymousUser:
    """The person of the request's session."""
    session = request.session
    owner = session.owner if session.get(SESSION_KEY) and isinstance(session, SessionStore) else None
    if owner is not None and _is_genuine(session, owner):
        return owner
    return get_user(request)  # a session that no list has, a secret key that was replaced, one to be ended, or nobody's


@dataclass(frozen=True, slots=True)
class Known:
    """Whose session that is, as it was read."""

    person: User
    session: str
    data: str  # signed

    @property
    def parameters(self) -> dict[str, Any]:
        """Of STILL_SIGNED_IN."""
        person = self.person
        return {"session": self.session, "session_data": self.data, "password": person.password, "instructions": person.custom_instructions}


# True while all that `Known` was read from stands; part of a statement that has the person's id as %(user)s.
STILL_SIGNED_IN = """EXISTS (
    SELECT 1 FROM django_session s
    JOIN usersessions_usersession l ON l.session_key = s.session_key JOIN accounts_user u ON u.id = l.user_id AND u.is_active
    WHERE s.session_key = %(session)s AND s.expire_date > now() AND s.session_data = %(session_data)s
        AND u.id = %(user)s AND u.password = %(password)s AND u.custom_instructions = %(instructions)s
)"""


async def known_by(link: Link, session_key: str) -> Known | None:
    """Who is signed in by that session, read on the event loop; None where `who` has to look closer, or there is nobody."""
    rows = await link.rows(SESSION, {"key": session_key})
    if not rows:
        return None
    session = SessionStore(session_key)
    values = session.found(rows[0])
    owner = session.owner if values.get(SESSION_KEY) else None
    return Known(owner, session_key, rows[0][0]) if owner is not None and _is_genuine(values, owner) else None


def _is_genuine(session: SessionBase | Mapping[str, Any], owner: User) -> bool:
    if str(owner.pk) != session[SESSION_KEY] or session[BACKEND_SESSION_KEY] not in settings.AUTHENTICATION_BACKENDS:
        return False
    return constant_time_compare(session.get(HASH_SESSION_KEY, ""), owner.get_session_auth_hash())
