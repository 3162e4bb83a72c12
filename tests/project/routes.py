"""Every address of the site, as its pattern."""

from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver

from threads.routing import websocket_application

# Tested by those who write them: what is reached through them is the visitor's own, or an administrator's. The API has a
# matrix of its own, by key (tests/api/).
OTHERS = ("admin/", "accounts/", "v1/")


def every_route() -> set[str]:
    """`c/<uuid:thread_id>/send` and so on, sockets as `ws:…`, without the admin's, the sign-in library's and the API's."""
    pages = {route for route in _routes(get_resolver().url_patterns) if not route.startswith(OTHERS)}
    sockets = {f"ws:{route.pattern}" for route in websocket_application.routes if str(route.pattern)}  # the empty one refuses the rest
    return pages | sockets


def _routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield route
