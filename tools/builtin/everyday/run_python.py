"""Python in the sandbox."""

from typing import Any

from tools.registry import Builtin, Use
from tools.sandbox import MOST_CODE, SECONDS, run_python
from tools.schemas import takes, text
from tools.values import Outcome


async def run(arguments: dict[str, Any], use: Use) -> Outcome:
    return await run_python(arguments["code"])


TOOL = Builtin(
    slug="run-python",
    display_name="Run Python",
    description=(
        "Runs Python in a sandbox without network, and tells what it printed and its last expression. "
        "Files written under /out and charts are shown to the person."
    ),
    brand="chatai",
    input_schema=takes("code", code=text("The program.", least=1, most=MOST_CODE)),
    run=run,
    writes=False,
    repeatable=True,
    seconds=SECONDS + 30,
)
