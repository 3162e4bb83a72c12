"""Websocket addresses."""

from channels.routing import URLRouter
from django.urls import path

from threads.live.consumers import live

websocket_application = URLRouter([path("ws/", live), path("ws/c/<uuid:thread_id>/", live)])
