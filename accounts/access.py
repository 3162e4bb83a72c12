"""Who calls the API: a key in `Authorization: Bearer` or `x-api-key`. Session cookies count for nothing here."""

from __future__ import annotations

from django.http import HttpRequest

from accounts import keys
from accounts.models import ApiKey


class NotAllowed(Exception):  # noqa: N818 - an answer, not a fault
    """401 or 403, with a sentence that says what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def any_key(request: HttpRequest) -> ApiKey:
    """The key of this request. Looked up each time, by its digest, so that a revoked key is refused from the next request on."""
    given = {secret for secret in (_bearer(request), request.headers.get("x-api-key", "").strip()) if secret}
    if not given:
        raise NotAllowed(401, "Send your API key as `Authorization: Bearer <key>` or `x-api-key: <key>`.")
    if len(given) > 1:
        raise NotAllowed(401, "Authorization and x-api-key carry different keys. Send one of them.")
    key = keys.authenticate(given.pop())
    if key is None:
        raise NotAllowed(401, "This API key is unknown or was revoked.")
    return key


def admin_key(request: HttpRequest) -> ApiKey:
    """A key of scope admin."""
    key = any_key(request)
    if key.scope != ApiKey.Scope.ADMIN:
        raise NotAllowed(403, "This route needs a key of scope admin.")
    return key


def _bearer(request: HttpRequest) -> str:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def key_of(request: HttpRequest) -> ApiKey:
    """The key that `auth=` let in."""
    key: ApiKey = request.auth  # type: ignore[attr-defined]
    return key
