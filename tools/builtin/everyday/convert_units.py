"""Lengths, weights, temperatures and the like from one unit to another."""

from fractions import Fraction
from typing import Any

from tools.arithmetic import written
from tools.registry import Builtin, Use
from tools.schemas import number, takes, word
from tools.units import UnitError, convert
from tools.values import ToolError


async def run(arguments: dict[str, Any], use: Use) -> str:
    try:
        result = convert(Fraction(repr(arguments["value"])), arguments["from"], arguments["to"])
    except UnitError as error:
        raise ToolError(str(error), "invalid") from None
    return f"{arguments['value']} {arguments['from']} = {written(result)} {arguments['to']}"


TOOL = Builtin(
    slug="convert-units",
    display_name="Units",
    description="Converts between units of length, mass, time, area, volume, speed, energy, power, pressure, temperature, data and more.",
    brand="chatai",
    input_schema=takes(
        "value from to",
        value=number("How much."),
        **{"from": word("The unit it is in, such as mile, °F, kWh."), "to": word("The unit it is wanted in.")},
    ),
    run=run,
    writes=False,
    repeatable=True,
)
