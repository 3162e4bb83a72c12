"""The helpers of docs/tools.md, as they stand there."""

from __future__ import annotations

import json
import re
import subprocess
import time
from typing import Any

import pytest
from django.conf import settings
from playwright._impl._driver import compute_driver_executable

from tools.webhooks import sign

DOCUMENT = (settings.BASE_DIR / "docs" / "tools.md").read_text()
SECRET, TIMESTAMP = "wsk_test_secret", "1746000000"
SIGNATURE = "7669f00f875b0c491bc79eede8d04126d88f75470d6060f4f5a51819e6c65fb5"


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


BODY = block("text").strip().encode()
NOW = str(int(time.time()))
FRESH = sign(SECRET, NOW, BODY)
# (timestamp, signature, body, tolerance, whether it is ours)
CASES: list[tuple[str, str, bytes, float, bool]] = [
    (TIMESTAMP, SIGNATURE, BODY, 1e12, True),
    (TIMESTAMP, SIGNATURE, BODY, 86_400, False),
    (NOW, FRESH, BODY, 86_400, True),
    (NOW, FRESH, BODY + b" ", 86_400, False),
    (NOW, FRESH[:-1] + ("0" if FRESH[-1] != "0" else "1"), BODY, 86_400, False),
    (NOW, f"sha256={FRESH}", BODY, 86_400, False),
    (NOW, "", BODY, 86_400, False),
    (NOW, "é", BODY, 86_400, False),
    (str(int(NOW) - 1), FRESH, BODY, 86_400, False),
    ("", FRESH, BODY, 86_400, False),
    ("yesterday", FRESH, BODY, 86_400, False),
]


def test_the_vector_is_the_one_that_is_printed() -> None:
    assert SIGNATURE in DOCUMENT
    assert SECRET in DOCUMENT
    assert sign(SECRET, TIMESTAMP, BODY) == SIGNATURE


@pytest.mark.parametrize(("timestamp", "signature", "body", "tolerance", "ours"), CASES, ids=range(len(CASES)))
def test_the_python_helper_knows_ours(timestamp: str, signature: str, body: bytes, tolerance: float, ours: bool) -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    assert names["is_from_chatai"](SECRET, timestamp, signature, body, tolerance) is ours


def test_the_javascript_helper_knows_ours() -> None:
    cases = [[timestamp, signature, list(body), tolerance] for timestamp, signature, body, tolerance, _ in CASES]
    script = f"""{block("js")}
    (async () => {{
      const said = [];
      for (const [timestamp, signature, body, tolerance] of {json.dumps(cases)})
        said.push(await isFromChatai({json.dumps(SECRET)}, timestamp, signature, new Uint8Array(body), tolerance));
      console.log(JSON.stringify(said));
    }})();"""
    done = subprocess.run([compute_driver_executable()[0], "-e", script], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == [ours for *_, ours in CASES]
