"""A caller of /v1 over plain sockets: what went in and came out, byte by byte, with the right to hang up at any moment."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

MODEL = "claude-sonnet-5-5"  # served by the scripted provider


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of a failure, which has the one shape that failures have."""
        envelope = self.json
        assert envelope["type"] == "error", envelope
        assert isinstance(envelope["error"]["type"], str)
        message: str = envelope["error"]["message"]
        assert message
        assert "x-request-id" in self.headers
        return message


@dataclass(frozen=True)
class Event:
    name: str
    id: str | None
    data: Any
    raw: str = field(repr=False)


class Stream:
    """A reply read event by event."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self.connection = connection
        self.response = response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.comments = 0

    def __iter__(self) -> Iterator[Event]:
        lines: list[str] = []
        for line in self.response:
            assert line.endswith(b"\n")
            assert not line.endswith(b"\r\n")
            text = line.decode()[:-1]
            if text.startswith(":"):
                self.comments += 1
            elif text:
                lines.append(text)
            elif lines:
                yield _event(lines)
                lines = []

    def close(self) -> None:
        """Hang up."""
        if self.connection.sock:
            self.connection.sock.close()
        self.response.close()
        self.connection.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _event(lines: list[str]) -> Event:
    fields = dict(line.split(": ", 1) for line in lines)
    assert len(fields) == len(lines), "one line of each kind"
    data = json.loads(fields["data"])
    return Event(fields.get("event", ""), fields.get("id"), data, fields["data"])


class Caller:
    """Whoever holds a key; none at all with an empty one."""

    def __init__(self, url: str, key: str = "") -> None:
        self.url = url
        self.key = key

    def open(self, method: str, path: str, body: Any = None, **headers: str) -> Stream:
        """Send a request; `body` is encoded as JSON unless it is bytes. Names of headers are written with underscores."""
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key and not {"authorization", "x-api-key"} & given.keys():
            given["x-api-key"] = self.key
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data, given)
        return Stream(connection, connection.getresponse())

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        with self.open(method, path, body, **headers) as stream:
            return Reply(stream.status, stream.headers, stream.response.read())

    def get(self, path: str, **headers: str) -> Reply:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Reply:
        return self.call("POST", path, body, **headers)

    def thread(self, **fields: Any) -> str:
        """A new thread's id."""
        reply = self.post("/v1/threads", fields)
        assert reply.status == 201, reply
        thread_id: str = reply.json["id"]
        return thread_id

    def send(self, thread_id: str, content: Any, /, *, model: str = MODEL, key: str = "", **fields: Any) -> Reply:
        """A message, answered in one piece."""
        headers = {"Idempotency_Key": key} if key else {}
        return self.post(f"/v1/threads/{thread_id}/messages", {"model": model, "content": content, **fields}, **headers)

    def stream(
        self, thread_id: str, content: Any, /, *, model: str = MODEL, key: str = "", last: int | None = None, **fields: Any
    ) -> Stream:
        """A message, its answer streamed; with the same key and `last`, taken up again behind that event."""
        headers = {"Idempotency_Key": key or str(uuid4())} | ({} if last is None else {"Last_Event_ID": str(last)})
        body = {"model": model, "content": content, "stream": True, **fields}
        return self.open("POST", f"/v1/threads/{thread_id}/messages", body, **headers)

    def events(self, thread_id: str, turn_id: str, last: int | None = None) -> Stream:
        headers = {} if last is None else {"Last_Event_ID": str(last)}
        return self.open("GET", f"/v1/threads/{thread_id}/turns/{turn_id}/events", **headers)

    def messages(self, thread_id: str, **query: Any) -> Any:
        return self.get(f"/v1/threads/{thread_id}/messages?" + "&".join(f"{name}={value}" for name, value in query.items())).json


def text_of(events: list[Event]) -> str:
    return "".join(event.data["delta"].get("text", "") for event in events if event.name == "content_block_delta")
