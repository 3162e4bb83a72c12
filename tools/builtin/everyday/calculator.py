"""Arithmetic that is right, unlike a model's."""

from typing import Any

from tools.arithmetic import ExpressionError, evaluate, written
from tools.registry import Builtin, Use
from tools.schemas import takes, text
from tools.values import ToolError


async def run(arguments: dict[str, Any], use: Use) -> str:
    try:
        return written(evaluate(arguments["expression"]))
    except ExpressionError as error:
        raise ToolError(str(error), "invalid") from None


TOOL = Builtin(
    slug="calculator",
    display_name="Calculator",
    description="Works out an arithmetic expression exactly: + - * / ^ % // ( ), sqrt, log, sin, round, factorial, pi and more.",
    brand="chatai",
    input_schema=takes("expression", expression=text("Such as (12.5 + 7) * 3^2, sqrt(2), 15% of 80.", least=1, most=1000)),
    run=run,
    writes=False,
    repeatable=True,
)
