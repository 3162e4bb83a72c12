"""One browser tab without a browser: HTTP with cookies, the live socket, and the document that frames change.

What a person would read there is `page.answer(n)` and `page.transcript`; `page.until(…)` waits for it.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from email.message import Message
from http.cookiejar import CookieJar
from types import TracebackType
from typing import Any, TypeVar

from django.conf import settings
from django.test import Client
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from accounts.models import User
from tests.conftest import PASSWORD
from tests.dom import Element, parse, swap

UNFINISHED = ("queued", "running", "waiting")
DRAFT = '<section id="t-{id}" data-number="999999999" data-status="queued"><article data-role="user"><div>{text}</div></article></section>'
Found = TypeVar("Found")


@dataclass(frozen=True)
class Answer:
    """What an HTTP request brought."""

    status: int
    text: str
    headers: Message[str, str]


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


class Browser:
    """Cookies and requests of one person at one server."""

    def __init__(self, url: str, user: User | None = None) -> None:
        self.url = url
        self.jar = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar), _Stay())
        self.session = ""
        self.token = secrets.token_hex(16)
        if user is not None:
            client = Client()
            client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
            self.session = client.cookies[settings.SESSION_COOKIE_NAME].value

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, /, **fields: str) -> Answer:
        """As the page's own script posts."""
        return self.request("POST", path, fields)

    def request(self, method: str, path: str, fields: dict[str, str] | None = None, **headers: str) -> Answer:
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        if fields is not None:
            request.data = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": self.token}, errors="surrogatepass").encode()
            request.add_header("Origin", self.url)
            request.add_header("X-Requested-With", "fetch")
        request.add_header("Cookie", self.cookies)
        try:
            with self.opener.open(request, timeout=30) as answer:
                return Answer(answer.status, answer.read().decode(), answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode(), error.headers)

    @property
    def cookies(self) -> str:
        """As a header: the server's, and the token that forms repeat."""
        kept = {cookie.name: cookie.value or "" for cookie in self.jar} | {"csrftoken": self.token}
        if self.session:
            kept.setdefault(settings.SESSION_COOKIE_NAME, self.session)
        return "; ".join(f"{name}={value}" for name, value in kept.items())

    def sign_in(self, user: User, password: str = PASSWORD) -> Answer:
        """Through the form."""
        return self.post("/accounts/login/", login=user.email, password=password)


class Page:
    """A tab with one thread open. Frames are folded in by a thread of its own until `close`."""

    def __init__(self, browser: Browser, thread_id: uuid.UUID, acknowledges: bool = True, records: bool = False) -> None:
        self.browser = browser
        self.thread_id = thread_id
        self.socket_path = f"/ws/c/{thread_id}/"  # "/ws/" for the list of chats alone
        self.acknowledges = acknowledges
        self.records = records
        self.shown: list[str] = []  # with `records`: the last answer as it was after every frame
        self.document = parse('<ul id="threads-pinned"></ul><ul id="threads-today"></ul><b id="thread-title"></b><div id="messages"></div>')
        self.since = 0
        self.frames: list[tuple[float, dict[str, Any]]] = []
        self.missing: list[str] = []
        self.reloads = 0
        self.close_code: int | None = None
        self.socket: ClientConnection | None = None
        self.open_sockets = ExitStack()
        self.reader: threading.Thread | None = None
        self.changed = threading.Condition()

    def __enter__(self) -> Page:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # --- what a person does -----------------------------------------------------------------------------------------------

    def open(self) -> Page:
        """Load the page, then connect."""
        self.load()
        return self.connect()

    def load(self) -> Page:
        answer = self.browser.get(f"/c/{self.thread_id}")
        assert answer.status == 200, (answer.status, answer.text[:300])
        document = parse(answer.text)
        live = document.by_id("live")
        assert live is not None
        with self.changed:
            self.document, self.since = document, int(live["data-since"])
        return self

    def connect(self, **headers: str) -> Page:
        """Open the socket. Raises websockets' InvalidStatus when the handshake is refused."""
        self.close()
        given = {"Cookie": self.browser.cookies, "Origin": self.browser.url}
        given = {name: value for name, value in (given | headers).items() if value}
        address = f"{self.browser.url.replace('http', 'ws')}{self.socket_path}?since={self.since}"
        self.close_code = None
        opening = connect(address, additional_headers=given, max_size=None, open_timeout=20, close_timeout=1, ping_interval=None)
        self.socket = self.open_sockets.enter_context(opening)
        self.reader = threading.Thread(target=self._read, args=(self.socket,), daemon=True)
        self.reader.start()
        return self

    def reconnect(self, seconds: float = 30.0) -> Page:
        """As the page does when its socket is lost: again and again until it works."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.connect()
            except (OSError, EOFError, ConnectionClosed):
                assert time.monotonic() < deadline, "the page could not reconnect"
                time.sleep(0.1)

    def close(self) -> None:
        self.open_sockets.close()
        if self.reader is not None:
            self.reader.join(5)
        self.socket = self.reader = None

    def send(self, text: str, model: str = "demo", request_id: str = "", *, draw: bool = False, new: bool = False) -> Answer:
        """Post a message; with `draw` it is put on the page first, as the composer does."""
        request_id = request_id or str(uuid.uuid4())
        if draw:
            with self.changed:
                messages = self.document.by_id("messages")
                assert messages is not None
                messages.append(parse(DRAFT.format(id=request_id, text=text)).one("section"))
        more = {"new": "1"} if new else {}
        return self.browser.post(f"/c/{self.thread_id}/send", text=text, model=model, request_id=request_id, **more)

    def say(self, **said: object) -> None:
        """A message over the socket."""
        assert self.socket is not None
        self.socket.send(json.dumps(said))

    def stop(self) -> Answer:
        return self.browser.post(f"/c/{self.thread_id}/stop")

    # --- what a person sees -----------------------------------------------------------------------------------------------

    @property
    def turns(self) -> list[Element]:
        with self.changed:
            messages = self.document.by_id("messages")
            assert messages is not None
            return [child for child in messages.children if isinstance(child, Element) and child.tag == "section"]

    @property
    def statuses(self) -> list[str]:
        return [turn["data-status"] for turn in self.turns]

    @property
    def numbers(self) -> list[int]:
        return [int(turn["data-number"]) for turn in self.turns]

    @property
    def over(self) -> bool:
        """Whether there is a turn and none is unfinished."""
        return bool(self.turns) and not any(status in UNFINISHED for status in self.statuses)

    @property
    def transcript(self) -> list[tuple[str, str]]:
        """(role, text) of all messages as they stand there."""
        with self.changed:
            return [(message["data-role"], body_of(message)) for turn in self.turns for message in turn.all("article")]

    @property
    def questions(self) -> list[str]:
        return [text for role, text in self.transcript if role == "user"]

    def answer(self, which: int = -1) -> str:
        """The text of one answer; empty when there is none."""
        answers = [text for role, text in self.transcript if role == "assistant"]
        return answers[which] if len(answers) > (which if which >= 0 else -which - 1) else ""

    def until(self, check: Callable[[Page], Found], seconds: float = 15.0) -> Found:
        """Wait for frames until `check(page)` is true; its value."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while not (found := check(self)):
                left = deadline - time.monotonic()
                if left <= 0:
                    state = f"turns {self.statuses}, close code {self.close_code}, last answer {self.answer()[-200:]!r}"
                    raise AssertionError(f"not on the page within {seconds:g} s: {state}")
                self.changed.wait(min(left, 1.0))
            return found

    def until_closed(self, seconds: float = 15.0) -> int:
        code = self.until(lambda page: page.close_code, seconds)
        assert code is not None
        return code

    # --- frames -----------------------------------------------------------------------------------------------------------

    def _read(self, socket: ClientConnection) -> None:
        try:
            while True:
                frame = json.loads(socket.recv())
                with self.changed:
                    self._take(frame)
                    self.changed.notify_all()
                if self.acknowledges:
                    socket.send(json.dumps({"ack": frame["n"]}))
        except (ConnectionClosed, OSError):
            with self.changed:
                self.close_code = socket.close_code or 1006
                self.changed.notify_all()

    def _take(self, frame: dict[str, Any]) -> None:
        self.frames.append((time.monotonic(), frame))
        self.since = frame["t"]
        if frame.get("reload"):
            self.reloads += 1
            return
        self.missing += swap(self.document, frame["content"])
        if self.records:
            self.shown.append(self.answer())


def body_of(message: Element) -> str:
    """What the person reads of a message, without the headings and buttons around it; white space as a browser shows it."""
    bodies = [one for one in message.all("div") if "bubble" in one.classes or "answer" in one.classes] or [message]
    return " ".join(visible(bodies[0]).split())


def visible(element: Element) -> str:
    """The text below `element`, without what only controls it."""
    if element.tag in ("button", "figcaption", "summary", "svg"):
        return ""
    return "".join(child if isinstance(child, str) else visible(child) for child in element.children)
