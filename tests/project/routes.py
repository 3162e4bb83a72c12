"""Every address of the site, as its pattern."""

from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver

from threads.routing import websocket_application

# Tested elsewhere: what is reached through them is the visitor's own, an administrator's, or in tests/api/test_matrix_api.py.
OTHERS = ("admin/", "accounts/", "v1/")


def every_route() -> set[str]:
    """`c/<uuid:thread_id>/send` and so on, sockets as `ws:…`, without the admin's and the sign-in library's."""
    pages = {route for route in _routes(get_resolver().url_patterns) if not route.startswith(OTHERS)}
    return pages | {f"ws:{route.pattern}" for route in websocket_application.routes}


def _routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield route
