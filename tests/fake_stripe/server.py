"""The HTTP server around it: authentication, idempotency keys, errors, pages."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.fake_stripe import pages
from tests.fake_stripe.api import Api
from tests.fake_stripe.books import Books
from tests.fake_stripe.delivery import Deliveries
from tests.fake_stripe.wire import API_VERSION, Json, RefusedError, new_id, parse_form


class FakeStripe:
    """One Stripe, listening from `with` to the end of it. `requests` lists what was asked of the API: method and path."""

    def __init__(self, port: int = 0, secret_key: str = "sk_test_fake") -> None:
        self.books, self.deliveries, self.secret_key = Books(), Deliveries(), secret_key
        self.api = Api(self.books)
        self.requests: list[tuple[str, str]] = []
        self.down = False  # every request of the API is answered 500
        self.replies: dict[str, tuple[Json, int, Json]] = {}  # by idempotency key: what was asked, and the answer
        self.server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (Handler,), {"stripe": self}))
        self.server.daemon_threads = True
        self.url = self.books.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.books.listeners.append(self.deliveries)

    def __enter__(self) -> Self:
        self.deliveries.start()
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.server.shutdown()
        self.server.server_close()

    def price(self, name: str, unit_amount: int, interval: str | None = "month", **elsewhere: int) -> str:
        """A price of its own product, in cents and perhaps in other currencies; its id."""
        options = {"currency_options": {currency: {"unit_amount": amount} for currency, amount in elsewhere.items()}}
        recurring = {"recurring": {"interval": interval}} if interval else {}
        made = self.api.make_price({"product_data": {"name": name}, "unit_amount": unit_amount, "currency": "usd", **options, **recurring})
        return str(made["id"])


class Handler(BaseHTTPRequestHandler):
    stripe: FakeStripe
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path.startswith("/v1/"):
            self.serve_api("GET", parts.path, parse_form(parts.query))
        else:
            self.serve_page(parts.path)

    def do_DELETE(self) -> None:
        self.serve_api("DELETE", urlsplit(self.path).path, parse_form(self.body()))

    def do_POST(self) -> None:
        path, body = urlsplit(self.path).path, self.body()
        if path.startswith("/v1/"):
            self.serve_api("POST", path, parse_form(body))
        else:
            self.act(path)

    def body(self) -> str:
        return self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()

    # --- The API -------------------------------------------------------------------------------------------------------

    def serve_api(self, method: str, path: str, given: Json) -> None:
        self.stripe.requests.append((method, path))
        key = self.headers.get("Idempotency-Key", "") if method == "POST" else ""
        try:
            if self.stripe.down:
                raise RefusedError(500, "An unknown error occurred.", kind="api_error")
            if self.headers.get("Authorization") != f"Bearer {self.stripe.secret_key}":
                raise RefusedError(401, "Invalid API Key provided.")
            with self.stripe.books.lock:
                status, answer, replayed = self.once(key, method, path, given)
        except RefusedError as refusal:
            status, answer, replayed = refusal.status, refusal.body, False
        headers = {"Request-Id": new_id("req"), "Stripe-Version": API_VERSION}
        self.reply(status, json.dumps(answer).encode(), "application/json", headers | ({"Idempotent-Replayed": "true"} if replayed else {}))

    def once(self, key: str, method: str, path: str, given: Json) -> tuple[int, Json, bool]:
        """The same answer for the same idempotency key, refusals too; another question under it is an error."""
        asked = {"path": path, "given": given}
        if key and key in self.stripe.replies:
            before, status, answer = self.stripe.replies[key]
            if before != asked:
                message = "Keys for idempotent requests can only be used with the same parameters they were first used with."
                raise RefusedError(400, message, kind="idempotency_error")
            return status, answer, True
        try:
            status, answer = 200, self.stripe.api.answer(method, path, given)
        except RefusedError as refusal:
            status, answer = refusal.status, refusal.body
        if key:
            self.stripe.replies[key] = asked, status, answer
        return status, answer, False

    # --- Pages ---------------------------------------------------------------------------------------------------------

    def serve_page(self, path: str) -> None:
        books = self.stripe.books
        try:
            match path.strip("/").split("/"):
                case [""]:
                    html = pages.desk(books)
                case ["c", "pay", session_id]:
                    html = pages.checkout(books.find("checkout.session", session_id))
                case ["p", "session", session_id]:
                    html = pages.portal(books, books.find("billing_portal.session", session_id))
                case ["receipts" | "invoices" as kind, given]:
                    html = pages.page(kind.title().removesuffix("s"), f"<p>{books.objects[given]['id']}</p>")
                case _:
                    raise RefusedError(404, "No such page.")
        except (RefusedError, KeyError):
            self.reply(404, pages.page("Not found", "").encode(), "text/html; charset=utf-8", {})
        else:
            self.reply(200, html.encode(), "text/html; charset=utf-8", {})

    def act(self, path: str) -> None:
        """A button of a page."""
        books, back = self.stripe.books, "/"
        try:
            match path.strip("/").split("/"):
                case ["c", "pay", session_id]:
                    back = books.pay(session_id)["success_url"].replace("{CHECKOUT_SESSION_ID}", session_id)
                case ["p", "session", portal_id, "cancel", subscription_id]:
                    books.cancel(subscription_id)
                    back = f"/p/session/{portal_id}"
                case ["desk", "refund", given]:
                    books.refund(given)
                case ["desk", "dispute", given]:
                    books.dispute(given)
                case ["desk", "won" | "lost" as end, given]:
                    books.close_dispute(given, end)
                case ["desk", "renew", given]:
                    books.renew(given)
                case _:
                    raise RefusedError(404, "No such button.")
        except RefusedError as refusal:
            self.reply(refusal.status, pages.page("Refused", f"<p>{refusal}</p>").encode(), "text/html; charset=utf-8", {})
        else:
            self.reply(303, b"", "text/plain", {"Location": back})

    def reply(self, status: int, body: bytes, content_type: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
