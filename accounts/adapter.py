"""What this site does differently from allauth's defaults."""

import logging
from types import SimpleNamespace
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers import registry
from allauth.socialaccount.providers.base import Provider
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest
from django.urls import reverse

from accounts.models import User
from chatai.lib import crypto

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return bool(settings.ENABLE_SIGNUP)

    def add_message(self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any) -> None:
        if message_template == "account/messages/email_confirmation_sent.txt" and not settings.EMAIL_URL:
            return  # it was printed where nobody but the operator sees it
        super().add_message(request, level, message_template, *args, **kwargs)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that is down must not undo a sign-up: the person is told, and can ask for the mail again."""
        site = SimpleNamespace(name=settings.SITE_NAME, domain=self.request.get_host())
        try:
            super().send_mail(template_prefix, email, {"current_site": site, **context})
        except OSError:
            logger.exception("mail %s not sent", template_prefix)
            messages.error(self.request, "The email could not be sent. Please try again in a few minutes.")


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        user: User = super().populate_user(request, sociallogin, data)
        name = data.get("name") or " ".join(filter(None, (data.get("first_name"), data.get("last_name"))))
        user.name = name[:120]
        return user

    def get_provider(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Provider:
        try:
            return super().get_provider(request, provider, client_id)
        except SocialApp.DoesNotExist:
            known = registry.get_class(provider)
            if known and request.path == reverse("socialaccount_connections"):
                return known(
                    request, app=SocialApp(provider=provider)
                )  # an account of a provider that was switched off can still be let go
            raise Http404(f"{provider} is not configured") from None


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    def _get_site_name(self) -> str:
        return str(settings.SITE_NAME)

    def encrypt(self, text: str) -> str:
        return crypto.seal(text, "second factor")

    def decrypt(self, encrypted_text: str) -> str:
        return crypto.unseal(encrypted_text, "second factor")

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return "Passkey" if number == 1 else f"Passkey {number}"
