"""Every example of docs/api.md does what it says, typed as it stands."""

import re
import subprocess

from django.conf import settings

from chatai.api import api
from tests.api.client import Caller

DOCUMENT = (settings.BASE_DIR / "docs" / "api.md").read_text()
# Fails on the first call that is refused, and says which.
STRICT = 'set -euo pipefail\ncurl() { command curl --fail-with-body --max-time 30 "$@" || { echo "refused: $*" >&2; return 22; }; }\n'


def examples() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def test_the_examples_run_one_after_the_other(admin: Caller) -> None:
    script = STRICT + "\n".join(examples())
    env = {"BASE": admin.url, "KEY": admin.key, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    assert "refused:" not in done.stderr
    assert done.stdout.count('"type":"qlaud.done"') >= 2
    assert '"type":"error"' not in done.stdout


def test_every_route_has_an_example() -> None:
    text = "\n".join(examples())
    called = {
        (re.search(r"-X (\w+)", call) or ["", "POST" if re.search(r" -d '", call) else "GET"])[1]
        + " "
        + re.sub(r"\$\w+", "{}", re.split(r"[?\" ]", call.split("$BASE")[1])[0])
        for call in re.findall(r"curl (?:[^\n]|\\\n)*?\$BASE(?:[^\n]|(?<=\\)\n)*", text)
    }
    paths = api.get_openapi_schema(path_prefix="/v1/")["paths"]
    routes = {f"{method.upper()} {re.sub(r'{.*?}', '{}', path)}" for path, operations in paths.items() for method in operations}
    routes.discard("DELETE /v1/end-users/{}")  # its example names somebody
    # Answers to what a turn asks in the middle: the text shows them, with nobody there to ask.
    routes -= {"POST /v1/threads/{}/tool-results/{}", "POST /v1/threads/{}/approvals/{}"}
    assert routes - called == set()
    assert "/v1/end-users/" in text
