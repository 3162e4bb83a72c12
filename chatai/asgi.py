"""Entry point of the `web` process: static files, websockets, pages."""

import os
import sys

import autobahn.websocket.protocol
import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatai.settings")
django.setup()

from channels.routing import ProtocolTypeRouter  # noqa: E402
from django.conf import settings  # noqa: E402
from django.urls import get_resolver  # noqa: E402
from servestatic import ServeStaticASGI  # noqa: E402

from chatai.handler import ThreadedHandler  # noqa: E402
from chatai.lib import garbage  # noqa: E402
from chatai.middleware import accepted  # noqa: E402
from threads.routing import websocket_application  # noqa: E402
from threads.send_door import SendDoor  # noqa: E402


def _uncoloured(value: object, color: str = "", bold: bool = False) -> object:
    return value


# The loop and the threads that answer requests share one interpreter: a frame waits for at most this long, in seconds, not 5 ms.
sys.setswitchinterval(0.0005)

# Autobahn colours the words of what it would log of each frame before it asks whether anybody wants to read it.
vars(autobahn.websocket.protocol).update(hltype=_uncoloured, hlval=_uncoloured)

get_resolver().url_patterns  # noqa: B018 - imports every view now, which takes a second, not while somebody waits for the first page

application = ServeStaticASGI(
    ProtocolTypeRouter({"http": SendDoor(ThreadedHandler(), accepted), "websocket": websocket_application}),
    root=settings.STATIC_ROOT,
    prefix=settings.STATIC_URL,
)

garbage.seldom()
