"""Signed webhooks, as Stripe sends them."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from tests.fake_stripe.wire import Json


def sign(body: bytes, secret: str, at: float | None = None) -> str:
    """The value of `Stripe-Signature`: seconds, and HMAC-SHA256 over the seconds and the body."""
    seconds = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return f"t={seconds},v1={mac.hexdigest()}"


def encode(event: Json) -> bytes:
    return json.dumps(event, indent=2).encode()  # Stripe's own are indented, too


@dataclass
class Deliveries:
    """Sends every event to every endpoint from a thread of its own, in order, and again when it is refused."""

    endpoints: list[tuple[str, str]] = field(default_factory=list)  # address and secret
    answers: list[tuple[str, int]] = field(default_factory=list)  # type of the event and status, in order
    waiting: queue.Queue[Json] = field(default_factory=queue.Queue)

    def start(self) -> None:
        threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, event: Json) -> None:
        if self.endpoints:
            self.waiting.put(event)

    def _work(self) -> None:
        while True:
            event = self.waiting.get()
            for url, secret in self.endpoints:
                self._insist(url, secret, event)
            self.waiting.task_done()

    def _insist(self, url: str, secret: str, event: Json) -> None:
        for pause in (0.2, 1, 5, 0):
            status = post(url, secret, event)
            self.answers.append((event["type"], status))
            if 200 <= status < 300:
                return
            time.sleep(pause)


def post(url: str, secret: str, event: Json) -> int:
    """One delivery; the status, 0 when nobody answered."""
    body = encode(event)
    headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": sign(body, secret)}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
