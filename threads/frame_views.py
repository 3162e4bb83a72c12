"""Pages for sandboxed frames, each with a policy of its own: an image of another host, and the place where diagrams are drawn.

They know nothing of who asks and read no rows. A frame has no origin (`sandbox`), so whatever runs in it reaches no cookie, no
storage and no page of ours; the policies repeat the sandbox for someone who opens the address directly.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import render
from django.views.decorators.http import require_safe

MAX_ADDRESS = 2_000  # characters; longer ones are data on their way out, not images
HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?")


@require_safe
def frame_image(request: HttpRequest) -> HttpResponse:
    """Shows the image at `u`, for which the person asked with a click; nothing else may load, and no referrer is sent."""
    address = request.GET.get("u", "")
    origin = _origin_of(address)
    if not origin:
        return HttpResponseBadRequest("Not the address of an image.", content_type="text/plain")
    response = render(request, "threads/frame_image.html", {"address": address})
    return _framed(request, response, f"img-src {origin}; sandbox")


@require_safe
def frame_diagram(request: HttpRequest) -> HttpResponse:
    """Draws what static/js/rich.js sends it. Mermaid needs inline styles, which is one reason why it lives here."""
    response = render(request, "threads/frame_diagram.html")
    return _framed(request, response, f"script-src {_static(request)}; sandbox allow-scripts", inline_style=True)


def _framed(request: HttpRequest, response: HttpResponse, policy: str, *, inline_style: bool = False) -> HttpResponse:
    style = "'unsafe-inline'" if inline_style else _static(request)
    common = f"default-src 'none'; style-src {style}; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    response["Content-Security-Policy"] = f"{common}; {policy}"
    response["X-Frame-Options"] = "SAMEORIGIN"
    response["Referrer-Policy"] = "no-referrer"
    return response


def _static(request: HttpRequest) -> str:
    """Our static files as a policy source; spelled out, because for a page without an origin 'self' is not the same everywhere."""
    return request.build_absolute_uri(settings.STATIC_URL)


def _origin_of(address: str) -> str:
    """`https://host:port` of an address that may be loaded, in characters that are safe inside a policy; empty otherwise."""
    if len(address) > MAX_ADDRESS or not address.isascii() or re.search(r"[\s\x00-\x1f\"'<>\\]", address):
        return ""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    known = parts.scheme in ("http", "https") and HOST.fullmatch(parts.netloc.lower())
    return f"{parts.scheme}://{parts.netloc.lower()}" if known else ""
