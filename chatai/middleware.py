"""Headers that every page carries."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.security import SecurityMiddleware

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "frame-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


class SecurityHeaders:
    """A strict Content-Security-Policy unless a view set its own (the sandboxed frames do)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        hosted = settings.STRIPE_PAGES if settings.STRIPE_SECRET_KEY else []
        self.policy = POLICY.replace("form-action 'self'", " ".join(("form-action 'self'", *settings.SOCIAL_ORIGINS, *hosted)))

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", self.policy)
        response.headers.setdefault("X-Frame-Options", "DENY")
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()")
        return response


def _empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


_security = SecurityMiddleware(_empty)
_dressed = SecurityHeaders(lambda request: _security.process_response(request, _empty(request)))


def accepted(request: HttpRequest) -> HttpResponseBase:
    """The answer to what needs no other, for who goes past the middlewares."""
    return _dressed(request)
