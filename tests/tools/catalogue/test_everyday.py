"""Tools that need nobody: arithmetic, units, the clock, files and charts."""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from tools.arguments import misfit
from tools.charts import steps
from tools.registry import Use, as_outcome, builtin
from tools.values import Caller, Outcome, ToolError

USE = Use(Caller(uuid.uuid4()))
EXACT = {
    "2 * (3 + 4)^2": "98",
    "12×7": "84",
    "0.1 + 0.2": "0.3",
    "15% of 80": "12",
    "200 * 19%": "38",
    "1,234,567 - 1": "1234566",
    "1/3": "0.333333333333333",
    "1/8": "0.125",
    "7 % 4": "3",
    "17 // 5": "3",
    "2^-3": "0.125",
    "factorial(20)": "2432902008176640000",
    "2**200": str(2**200),
    "round(2.675, 2)": "2.68",
    "sqrt(16)": "4",
    "max(1, 2, 3) - min(4, 5)": "-1",
    "mean(1, 2, 4)": "2.33333333333333",
    "gcd(12, 18) + lcm(4, 6)": "18",
    "-5 - -3": "-2",
    "1.00325^360": "3.21588585989289",
    "10^400 / 3": "3.33333333333333E+399",
}
REFUSED = {
    "1/0": "Division by zero",
    "9**9**9": "too large",
    "2^100000": "too large",
    "factorial(100000)": "up to 400",
    "round(1.5, 10**9)": "at most 50 digits",
    "1e308 * 1e308": "finite",
    "(-8)^(1/3)": "real number",
    "__import__('os').system('id')": "not part of arithmetic",
    "open('/etc/passwd')": "not part of arithmetic",
    "().__class__": "not part of arithmetic",
    "[x for x in (1,)]": "not part of arithmetic",
    "True + 1": "Only numbers",
    "'a' * 9": "not part of arithmetic",
    "1 if 1 else 2": "not part of arithmetic",
    "2 +": "no arithmetic expression",
    "(" * 300 + "1" + ")" * 300: "no arithmetic expression|nested too deeply|too large",
    "-" * 500 + "1": "nested too deeply",
    "sqrt(-1)": "cannot be worked out",
    "launch(1)": "no function",
}


async def run(slug: str, **arguments: Any) -> Outcome:
    """As the dispatcher does: what does not fit the schema is not run."""
    one = builtin(slug)
    assert one is not None
    if wrong := misfit(one.input_schema, arguments):
        raise ToolError(wrong, "invalid")
    return as_outcome(await one.run(arguments, USE))


@pytest.mark.parametrize(("expression", "result"), EXACT.items(), ids=str)
async def test_the_calculator_is_right(expression: str, result: str) -> None:
    assert (await run("calculator", expression=expression)).output == result


@pytest.mark.parametrize(("expression", "why"), REFUSED.items(), ids=lambda text: str(text)[:30])
async def test_the_calculator_refuses_what_is_no_arithmetic_or_never_ends(expression: str, why: str) -> None:
    with pytest.raises(ToolError, match=why) as caught:
        await run("calculator", expression=expression)
    assert caught.value.kind == "invalid"


@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        (1, "mile", "km", "1.609344"),
        (100, "°F", "celsius", "37.7777777777778"),
        (-40, "C", "F", "-40"),
        (0, "kelvin", "°C", "-273.15"),
        (60, "mph", "km/h", "96.56064"),
        (1, "GiB", "MB", "1073.741824"),
        (2.5, "square feet", "m2", "0.2322576"),
        (1, "kWh", "J", "3600000"),
        (1, "US gal", "l", None),
        (3, "stone", "lb", "42"),
        (1, "hour", "minutes", "60"),
    ],
)
async def test_units_are_converted_exactly(value: float, source: str, target: str, result: str | None) -> None:
    if result is None:
        assert (await run("convert-units", value=value, **{"from": source, "to": target})).output == "1 US gal = 3.785411784 l"
    else:
        assert (await run("convert-units", value=value, **{"from": source, "to": target})).output == f"{value} {source} = {result} {target}"


async def test_units_of_different_things_are_not_converted() -> None:
    with pytest.raises(ToolError, match="kg measures mass, m measures length"):
        await run("convert-units", value=1, **{"from": "kg", "to": "m"})
    with pytest.raises(ToolError, match="'furlongs' is not known"):
        await run("convert-units", value=1, **{"from": "furlongs", "to": "m"})


async def test_the_clock_knows_time_zones_and_nothing_else() -> None:
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    told = (await run("current-time", timezone="Asia/Tokyo")).output
    moment = dt.datetime.fromisoformat(told["time"])
    assert before <= moment <= dt.datetime.now(dt.UTC)
    assert moment.utcoffset() == dt.datetime.now(ZoneInfo("Asia/Tokyo")).utcoffset()
    assert told["weekday"] == f"{moment:%A}"
    for name in ("Atlantis", "../../etc/passwd", "/etc/passwd"):
        with pytest.raises(ToolError, match="no time zone"):
            await run("current-time", timezone=name)


async def test_a_file_is_shown_to_the_person_with_its_type() -> None:
    made = await run("make-file", name="Bericht März.csv", content="a,b\n1,ü\n")
    (block,) = made.blocks
    assert (block["type"], block["title"], block["source"]["media_type"]) == ("document", "Bericht März.csv", "text/csv")
    assert base64.b64decode(block["source"]["data"]).decode() == "a,b\n1,ü\n"
    assert "9 bytes" in made.output
    for name in ("../x.txt", "a/b.txt", "noending", "virus.exe", ".bashrc", "a\n.txt", "x" * 200 + ".txt"):
        with pytest.raises(ToolError):
            await run("make-file", name=name, content="x")


@pytest.mark.parametrize("kind", ["bar", "line", "area", "scatter", "pie"])
async def test_a_chart_is_a_picture_that_says_what_it_shows(kind: str) -> None:
    series = [{"name": "Sales <b>", "values": [3, 0, 12.5]}]
    made = await run("make-chart", kind=kind, labels=["Jan", "Feb & co", "März"], series=series, title="A <script> & more")
    (block,) = made.blocks
    assert block["source"]["media_type"] == "image/svg+xml"
    picture = base64.b64decode(block["source"]["data"]).decode()
    tree = ElementTree.fromstring(picture)
    words = "".join(tree.itertext())
    assert "A <script> & more" in words
    assert "Jan" in words
    drawn = {element.tag.rpartition("}")[2] for element in tree.iter()}
    assert drawn <= {"svg", "title", "rect", "text", "line", "g", "polyline", "polygon", "circle", "path"}
    assert not {name for element in tree.iter() for name in element.attrib if name.startswith("on") or "href" in name}


async def test_a_chart_of_data_that_does_not_fit_is_refused() -> None:
    ok = [{"name": "a", "values": [1, 2]}]
    for labels, series, kind in (
        (["x"], ok, "bar"),
        (["x", "y"], [{"name": "a", "values": [-1, 2]}], "pie"),
        (["x", "y"], [{"name": "a", "values": [0, 0]}], "pie"),
        (["x", "y"], ok * 2, "pie"),
        (["x", "y"], [{"name": "a", "values": [1, 1e300]}], "line"),
        ([], [], "bar"),
    ):
        with pytest.raises(ToolError) as caught:
            await run("make-chart", kind=kind, labels=labels, series=series)
        assert caught.value.kind == "invalid"


def test_an_axis_has_round_steps_that_hold_everything() -> None:
    for low, high in ((0, 30), (-5, 30), (0.001, 0.0042), (5, 5), (0, 0), (-1e9, 1e12), (99, 101)):
        marks = steps(low, high)
        assert marks[0] <= low
        assert marks[-1] >= high
        assert 2 <= len(marks) <= 9


async def test_python_runs_in_the_sandbox() -> None:
    outcome = await run("run-python", code="print('hello')\n6 * 7")
    assert not outcome.is_error
    assert "hello" in str(outcome.output)
    assert "42" in str(outcome.output)
