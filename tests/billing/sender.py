"""One process of several that send at once: `python -m tests.billing.sender MODEL EMAIL SENDS GO`.

Every send is the first of a new conversation, and has its connection before the file GO is there. Prints that all have, and then how
many were admitted and the facts of the refusals, as JSON.
"""

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import django


def main(model: str, email: str, sends: int, go: Path) -> None:
    django.setup()
    from django.db import connection

    from accounts.models import User
    from chatai.lib.ids import uuid7
    from threads import actions

    user = User.objects.get(email=email)
    connected = threading.Barrier(sends, lambda: print("connected", flush=True))

    def send(_: int) -> dict[str, Any] | None:
        connection.ensure_connection()
        connected.wait()
        while not go.exists():
            time.sleep(0.005)
        try:
            actions.admit_turn(
                user,
                uuid7(),
                content="[[tokens=250 delay=1]]",
                model=model,
                request_id=str(uuid4()),
                create=True,
                options={"max_tokens": 250},
            )
        except actions.Refused as refusal:
            if refusal.status != 402:
                raise
            return refusal.facts
        finally:
            connection.close()
        return None

    with ThreadPoolExecutor(sends) as pool:
        answers = list(pool.map(send, range(sends)))
    print(json.dumps({"admitted": answers.count(None), "refused": [facts for facts in answers if facts]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
