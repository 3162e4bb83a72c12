"""A chart of numbers, as a picture in the thread."""

from typing import Any

from tools.charts import Chart, Series, draw
from tools.made_files import file_block
from tools.registry import Builtin, Use
from tools.schemas import choice, number, several, takes, text
from tools.values import Outcome, ToolError

MOST_POINTS, MOST_SERIES, MOST_SLICES = 400, 8, 14


async def run(arguments: dict[str, Any], use: Use) -> Outcome:
    kind, labels = arguments["kind"], arguments["labels"]
    series = [Series(one["name"], one["values"]) for one in arguments["series"]]
    if kind == "pie" and (len(series) != 1 or len(labels) > MOST_SLICES):
        raise ToolError(f"A pie has one series and at most {MOST_SLICES} labels.", "invalid")
    words = {name: arguments.get(name, "") for name in ("title", "x_label", "y_label")}
    try:
        picture = draw(Chart(kind, labels, series, **words))
    except ValueError as error:
        raise ToolError(f"The chart cannot be drawn: {error}.", "invalid") from None
    block = file_block(f"{words['title'] or 'chart'}.svg", picture.encode(), "image/svg+xml")
    return Outcome(f"The {kind} chart of {len(labels)} labels is shown to the person.", blocks=(block,))


TOOL = Builtin(
    slug="make-chart",
    display_name="Make a chart",
    description="Draws a bar, line, area, scatter or pie chart of numbers and shows it to the person.",
    brand="chatai",
    input_schema=takes(
        "kind labels series",
        kind=choice("What to draw.", "bar", "line", "area", "scatter", "pie"),
        labels=several("One for each point, in order.", text("Its label.", most=100), MOST_POINTS, minItems=1),
        series=several(
            "Rows of numbers, each as long as labels.",
            takes(
                "name values", name=text("What it is.", most=100), values=several("The numbers.", number("One."), MOST_POINTS, minItems=1)
            ),
            MOST_SERIES,
            minItems=1,
        ),
        title=text("Above the chart.", most=80),
        x_label=text("Under the axis.", most=80),
        y_label=text("Beside the axis.", most=80),
    ),
    run=run,
    writes=False,
    repeatable=True,
)
