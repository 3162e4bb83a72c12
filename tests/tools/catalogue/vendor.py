"""A scripted vendor on 127.0.0.1: it writes down what it is asked, and answers what the script says, in order."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as it came in; the vendor's host is the first piece of the path (see `Vendor.origins`)."""

    method: str
    host: str
    path: str  # not decoded
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def line(self) -> str:
        return f"{self.method} https://{self.host}{self.path}"


@dataclass
class Answer:
    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def packed(self) -> tuple[bytes, dict[str, str]]:
        if isinstance(self.body, bytes):
            return self.body, {"content-type": "application/octet-stream", **self.headers}
        if isinstance(self.body, str):
            return self.body.encode(), {"content-type": "text/plain; charset=utf-8", **self.headers}
        return (b"" if self.body is None else json.dumps(self.body).encode()), {"content-type": "application/json", **self.headers}


class Vendor:
    """Every vendor there is, at one address: `origins(host, …)` is what TOOL_ORIGINS needs to lead there."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.script: list[Answer] = []
        self.server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"vendor": self}))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()

    def origins(self, *hosts: str) -> dict[str, str]:
        return {host: f"{self.url}/{host}" for host in hosts}

    def answers(self, *script: Answer) -> None:
        self.asked, self.script = [], list(script)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that had enough hangs up; anything else is a fault of the test."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    vendor: Vendor
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self) -> None:
        parts = urlsplit(self.path)
        _, host, *rest = parts.path.split("/")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = parse_qsl(parts.query, keep_blank_values=True)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.vendor.asked.append(Asked(self.command, host, "/" + "/".join(rest), query, headers, body))
        answer = self.vendor.script.pop(0) if self.vendor.script else Answer({"error": "nothing more in the script"}, 599)
        packed, headers = answer.packed()
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(packed)))
        self.end_headers()
        self.wfile.write(packed)


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.answer)
