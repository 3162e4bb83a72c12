"""Who is signed in, read with two small prepared statements: through the ORM that is a third of what a send costs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessions
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from django.utils.functional import SimpleLazyObject

from accounts.models import User
from chatai.lib import prepared

SESSION = "SELECT session_data FROM django_session WHERE session_key = %s AND expire_date > now()"
FIELDS = [field.attname for field in User._meta.concrete_fields]
COLUMNS = ", ".join(str(field.column) for field in User._meta.concrete_fields)
USER = f"SELECT {COLUMNS} FROM accounts_user WHERE id = %s AND is_active"


class SessionStore(DatabaseSessions):
    """Django's sessions in the database (SESSION_ENGINE)."""

    def load(self) -> dict[str, Any]:
        found = prepared.row(SESSION, [self.session_key])
        if found is None:
            self._session_key = None
            return {}
        return self.decode(found[0])


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
    if SESSION_KEY not in session or session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return AnonymousUser()
    found = prepared.row(USER, [session[SESSION_KEY]])
    if found is None:
        return AnonymousUser()
    user = User.from_db("default", FIELDS, found)
    if constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
        return user
    return get_user(request)  # a secret key that was replaced is looked at there; else the session is ended
