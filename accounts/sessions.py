"""Sessions that end: their live sockets are told, whichever door ended them."""

from collections.abc import Iterable
from typing import cast

from allauth.usersessions.models import UserSession
from django.db import transaction

from accounts.models import User
from chatai.lib import hints


def announce_ended(session_keys: Iterable[str]) -> None:
    """Have the sockets of these sessions look again, once the end is committed."""
    keys = [key for key in session_keys if key]
    if keys:
        transaction.on_commit(lambda: hints.announce("live", "sessions", *keys))


def keys_of(user: User) -> list[str]:
    return list(UserSession.objects.filter(user=user).values_list("session_key", flat=True))


def end(user: User, session_id: int) -> bool:
    """Sign out one of the user's own sessions; False when there is none of that id."""
    session = cast("UserSession | None", UserSession.objects.filter(user=user, pk=session_id).first())
    if session is None:
        return False
    session.end()
    return True


def end_all(user: User) -> None:
    for session in UserSession.objects.filter(user=user):
        session.end()
