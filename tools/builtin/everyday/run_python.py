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
        "Runs Python (no network, few modules) and tells what it printed and what its last expression was. Files that it writes are "
        "shown to the person, and so are charts: import charts; charts.line(labels, values, title='…'), or bar, area, scatter, pie."
    ),
    brand="chatai",
    input_schema=takes("code", code=text("The program.", least=1, most=MOST_CODE)),
    run=run,
    writes=False,
    repeatable=True,
    seconds=SECONDS + 30,
)
