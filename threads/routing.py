"""Websocket addresses."""

from typing import Any

from channels.routing import URLRouter
from django.urls import path, re_path

from threads.live.consumers import live, nowhere

door: Any = live  # Django's `path` is typed for views
wall: Any = nowhere
websocket_application = URLRouter([path("ws/", door), path("ws/c/<uuid:thread_id>/", door), re_path("", wall)])
