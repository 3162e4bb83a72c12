"""What the demo model does about a question: the tools it calls, one after the other, with what is in the question.

A tool that is offered by name is called by name; where tools are reached through the meta-tools, through `qlaud_multi_execute`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

EXECUTE = "qlaud_multi_execute"
META = re.compile(r"qlaud_")
FIRST_ID = re.compile(r'"id":\s*"([^"]+)"')

Tools = Sequence[dict[str, Any]]
Result = tuple[str, bool]  # text, and whether it failed


@dataclass(frozen=True, slots=True)
class Step:
    """One call: the built-in that does it, which other tools could (by name), and its arguments; None ends the errand."""

    tool: str
    able: re.Pattern[str]
    arguments: Callable[[re.Match[str], str], dict[str, Any] | None]  # of the question, and of what the step before answered


@dataclass(frozen=True, slots=True)
class Errand:
    asked: re.Pattern[str]
    steps: tuple[Step, ...]


def _step(tool: str, able: str, argument: str, value: Callable[[str], str] = str) -> Step:
    """A step that takes what the question names."""

    def arguments(match: re.Match[str], before: str) -> dict[str, Any]:
        return {argument: value(next((group for group in match.groups() if group), "").strip(" ?.!\"'“”"))}

    return Step(tool, re.compile(able, re.IGNORECASE), arguments)


def _sign(expression: str) -> str:
    return expression.replace("×", "*").replace("÷", "/").replace("^", "**")


def _issue(match: re.Match[str], teams: str) -> dict[str, Any] | None:
    team = FIRST_ID.search(teams)
    return {"team_id": team[1], "title": match[1].strip(" .!\"'“”")} if team else None


def _asked(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


ERRANDS = (
    Errand(
        _asked(r"what(?:'s| is) ([\d\s.+*/×÷^()-]*\d[\d\s.+*/×÷^()-]*)"),
        (_step("calculator", r"calc|math|arith|eval", "expression", _sign),),
    ),
    Errand(
        _asked(r"what(?:'s| is) the (?:time|date)|what (?:time|day) is it"),
        (_step("current-time", r"time|clock|date", "timezone", lambda _: "UTC"),),
    ),
    Errand(_asked(r"search (?:in )?(?:all )?(?:of )?my chats? for (.+)"), (_step("search-conversations", r"search|find|recall", "query"),)),
    Errand(_asked(r"(?:fetch|read|open) (?:the page )?(https?://\S+)"), (_step("fetch-page", r"fetch|page|browse", "url"),)),
    Errand(_asked(r"weather (?:in|at|for) ([^?.!\n]+)"), (_step("weather", r"weather|forecast", "place"),)),
    Errand(
        _asked(r"(?:create|open|make) an? (?:linear )?(?:ticket|issue)(?: in linear)?:? (.+)"),
        (
            Step("linear-list-teams", _asked(r"list.?teams"), lambda match, before: {}),
            Step("linear-create-issue", _asked(r"create.?issue"), _issue),
        ),
    ),
)
NAMED = re.compile(r"\buse (?:the tool )?([\w/-]+) with (\{.*\})", re.IGNORECASE | re.DOTALL)


def next_call(question: str, tools: Tools, results: Sequence[Sequence[Result]]) -> tuple[str, dict[str, Any]] | None:
    """Name and arguments of the call to make after `results`, one list for each call so far; None when there is nothing to do."""
    if any(failed for answers in results for _, failed in answers):
        return None
    if named := NAMED.search(question):
        return None if results else _named(named, tools)
    for errand in ERRANDS:
        match = errand.asked.search(question)
        if match and len(results) < len(errand.steps):
            step = errand.steps[len(results)]
            before = "\n".join(text for text, _ in results[-1]) if results else ""
            arguments = step.arguments(match, before)
            if arguments is not None and (call := _call(step, arguments, tools)):
                return call
    return None


def _named(match: re.Match[str], tools: Tools) -> tuple[str, dict[str, Any]] | None:
    """`use github-search with {"query": "…"}`: any tool there is."""
    try:
        arguments = json.loads(match[2])
    except ValueError:
        return None
    offered = {tool["name"] for tool in tools}
    if match[1] in offered:
        return match[1], arguments
    return _through(match[1], arguments) if EXECUTE in offered else None


def _call(step: Step, arguments: dict[str, Any], tools: Tools) -> tuple[str, dict[str, Any]] | None:
    tool = next((tool for tool in tools if step.able.search(tool["name"]) and not META.match(tool["name"])), None)
    if tool is not None:
        return tool["name"], _fitted(tool, arguments)
    return _through(step.tool, arguments) if any(tool["name"] == EXECUTE for tool in tools) else None


def _through(tool: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return EXECUTE, {"calls": [{"tool": tool, "args": arguments}]}


def _fitted(tool: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """For a tool that calls its one argument something else."""
    schema = tool.get("input_schema") or {}
    properties = schema.get("properties") or {}
    if len(arguments) != 1 or arguments.keys() <= properties.keys():
        return arguments
    wanted = next(iter(schema.get("required") or []), None)
    return {wanted: next(iter(arguments.values()))} if wanted else {}


def shown(text: str, failed: bool) -> str:
    """What a tool answered, for reading; each of the results of the meta-tool by itself."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    match answer:
        case {"results": [{"tool": str(), "output": _}, *_] as results}:
            return "\n\n".join(_told(_text(one["output"]), bool(one.get("is_error"))) for one in results)
    return _told(text, failed)


def failed_inside(text: str) -> bool:
    """Whether a call inside of the meta-tool failed."""
    try:
        answer = json.loads(text)
    except ValueError:
        return False
    match answer:
        case {"results": [{"tool": str(), "output": _}, *_] as results}:
            return any(one.get("is_error") for one in results)
    return False


def _told(text: str, failed: bool) -> str:
    return f"It failed: {text}" if failed else text or "(nothing)"


def _text(output: Any) -> str:
    return output if isinstance(output, str) else f"```json\n{json.dumps(output, ensure_ascii=False, indent=1)}\n```"
