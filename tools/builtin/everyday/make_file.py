"""A text file for the person to download."""

from typing import Any

from tools.made_files import file_block, type_of
from tools.registry import Builtin, Use
from tools.schemas import takes, text, word
from tools.values import Outcome

MOST_CHARS = 100_000


async def run(arguments: dict[str, Any], use: Use) -> Outcome:
    name = arguments["name"]
    content = arguments["content"].encode()
    block = file_block(name, content, type_of(name))
    return Outcome(f"The file {name} ({len(content):,} bytes) is shown to the person.", blocks=(block,))


TOOL = Builtin(
    slug="make-file",
    display_name="Make a file",
    description="Makes a text file (Markdown, CSV, JSON, HTML, SVG, calendar, code and the like) that the person can download.",
    brand="chatai",
    input_schema=takes(
        "name content",
        name=word("Name with its ending, such as report.csv."),
        content=text("All of the file.", most=MOST_CHARS),
    ),
    run=run,
    writes=False,
    repeatable=True,
)
