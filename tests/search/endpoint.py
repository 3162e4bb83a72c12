"""A server that speaks embeddings as OpenAI does, with the toy model behind it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.search.toy import toy_numbers


class Endpoint(ThreadingHTTPServer):
    """`asked` has the bodies of the requests; `status` other than 200 is answered to all of them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.status = 200
        self.dimensions: int | None = None  # other than asked for

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.keys.add(self.headers.get("Authorization", ""))
        texts = body["input"]
        data = [
            {"object": "embedding", "index": at, "embedding": toy_numbers(text)[: self.server.dimensions]} for at, text in enumerate(texts)
        ]
        tokens = sum(len(text.split()) for text in texts)
        answer = {"object": "list", "model": body["model"], "data": data[::-1], "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
        if self.server.status != 200:
            answer = {"error": {"message": "no", "type": "server_error"}}
        payload = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def running() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
