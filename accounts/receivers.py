"""What follows from a user or a session being written, whichever door wrote it."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.http import HttpRequest

from accounts import keys, sessions
from accounts.models import User


@receiver(post_save, sender=User)
def equip_new_user(instance: User, created: bool, raw: bool = False, **_: Any) -> None:
    """Every new user has a key of their own, however they came to be."""
    if not created or raw:
        return
    keys.mint_personal(instance)
    if instance.is_superuser:
        # The operator who made it vouches for the address; otherwise a mail server that is down locks the operator out.
        EmailAddress.objects.get_or_create(user=instance, email=instance.email, defaults={"verified": True, "primary": True})


@receiver(post_save, sender=User)
def end_sockets_of_changed_user(instance: User, created: bool, **_: Any) -> None:
    """A new password ends the other sessions, and so does being deactivated."""
    password_changed = getattr(instance, "_password", None) is not None  # Django clears it right after this signal
    if not created and (password_changed or not instance.is_active):
        sessions.announce_ended(sessions.keys_of(instance))


@receiver(post_delete, sender=UserSession)
def end_sockets_of_ended_session(instance: UserSession, **_: Any) -> None:
    sessions.announce_ended([instance.session_key])


@receiver(user_logged_out)
def end_sockets_of_signed_out(request: HttpRequest, **_: Any) -> None:
    key = request.session.session_key
    if key:
        # Django flushes the session only after this signal: delete it first, so that whoever looks again finds it gone.
        request.session.delete(key)
        UserSession.objects.filter(session_key=key).delete()
        sessions.announce_ended([key])
