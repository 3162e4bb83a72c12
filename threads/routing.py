"""Websocket addresses."""

from typing import Any

from channels.routing import URLRouter
from django.urls import path

from threads.live.consumers import live

door: Any = live  # Django's `path` is typed for views
websocket_application = URLRouter([path("ws/", door), path("ws/c/<uuid:thread_id>/", door)])
