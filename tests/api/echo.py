"""An app's or a vendor's server that says everything back: what it was sent, and what it was told before."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Echo:
    """`/fine…` answers 200, `/broken…` 500, everything else 403."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.known: dict[str, str] = {}  # said back as well, by path
        self.heard = ""  # all that came in


@contextmanager
def echoing() -> Iterator[Echo]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            said = "\n".join(
                [self.path, *(f"{name}: {value}" for name, value in self.headers.items()), body, echo.known.get(self.path, "")]
            )
            echo.heard += said
            status = 200 if self.path.startswith("/fine") else 500 if self.path.startswith("/broken") else 403
            packed = json.dumps({"ok": False, "message": said, "error": said, "error_description": said, "output": said}).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(packed)))
            self.end_headers()
            self.wfile.write(packed)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a test's own output is searched too."""

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    echo = Echo(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield echo
    finally:
        server.shutdown()
        server.server_close()
