"""One call of a tool: whatever happens to it, there is one result, and it says nothing that is secret."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts.models import User
from chatai.lib.http import EgressError
from tools import actions, registry, shelf
from tools.database import in_thread
from tools.dispatch import dispatch
from tools.meta import compose, expand
from tools.registry import Builtin, Use
from tools.results import as_text
from tools.values import MOST_RESULT_BYTES, Answer, Caller, Outcome, Question, Tool, ToolError

STORED = pytest.mark.django_db(transaction=True)
SECRET = "canary-0123456789"
TEXT = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 300_000}}, "additionalProperties": False}
CONFIG = {"type": "object", "properties": {"api_key": {"type": "string", "format": "password"}}, "required": ["api_key"]}
Run = Callable[[dict[str, Any], Use], Awaitable[Any]]


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_builtins", {})


def tool(run: Run, **more: Any) -> Tool:
    """A built-in that does `run`."""
    one = Builtin(slug="probe", display_name="Probe", description="Tries.", brand="chatai", input_schema=TEXT, run=run, **more)
    registry.register(one)
    return shelf._of_builtin(one, one.slug, one.description, one.input_schema, "1", one.slug)


def caller(user_id: UUID | None = None) -> Caller:
    return Caller(user_id=user_id or uuid4(), tool_use_id="toolu_1")


def gives(value: Any) -> Run:
    async def run(arguments: dict[str, Any], use: Use) -> Any:
        if isinstance(value, BaseException):
            raise value
        return value

    return run


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [
        (ToolError("Linear refused: no such team", "refused", 422), "refused", "no such team"),
        (EgressError("timeout", "x.test did not answer"), "timeout", "did not answer"),
        (EgressError("forbidden", "x.test is not a public address."), "refused", "not a public address"),
        (EgressError("network", "x.test could not be reached"), "unavailable", "reached"),
        (KeyError(SECRET), "crash", "failed"),
        (RecursionError(), "crash", "failed"),
        (MemoryError(), "crash", "failed"),
        (BaseExceptionGroup("", [ValueError(SECRET)]), "crash", "failed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
async def test_every_failure_is_a_result(failure: Exception, kind: str, words: str, caplog: pytest.LogCaptureFixture) -> None:
    outcome = await dispatch(tool(gives(failure)), {"text": "x"}, caller())
    assert (outcome.is_error, outcome.error_kind) == (True, kind)
    assert words in outcome.output
    assert SECRET not in caplog.text + outcome.output


async def test_only_the_end_of_the_turn_ends_a_call_without_a_result() -> None:
    async def run(arguments: dict[str, Any], use: Use) -> Any:
        await asyncio.sleep(60)

    task = asyncio.create_task(dispatch(tool(run), {}, caller()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_that_takes_too_long_is_given_up() -> None:
    async def run(arguments: dict[str, Any], use: Use) -> Any:
        await asyncio.sleep(60)

    outcome = await dispatch(tool(run, seconds=0.1), {}, caller())
    assert (outcome.error_kind, outcome.output) == ("timeout", "probe did not answer within 0.1 seconds.")


async def test_the_time_a_person_takes_to_answer_does_not_count() -> None:
    async def ask(question: Question) -> Answer:
        await asyncio.sleep(0.3)
        return Answer("accept", {"size": "L"})

    async def run(arguments: dict[str, Any], use: Use) -> Any:
        assert use.caller.ask is not None
        answer = await use.caller.ask(Question("Which size?", {}, "probe"))
        if arguments:
            await asyncio.sleep(60)
        return answer.content["size"]

    one = tool(run, seconds=0.2)
    assert (await dispatch(one, {}, replace(caller(), ask=ask))).output == "L"
    assert (await dispatch(one, {"text": "then hang"}, replace(caller(), ask=ask))).error_kind == "timeout"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"text": 5}, 'text: 5 is not of type "string"'),
        ({"txt": "x"}, "txt"),
        ([1], "JSON object"),
        ("text", "JSON object"),
        ({"text": "x" * 200_000}, "larger than 128 KiB"),
        ({"text": "\ud800" * 200_000}, "larger than 128 KiB"),
    ],
)
async def test_arguments_that_do_not_fit_never_reach_the_tool(arguments: Any, words: str) -> None:
    outcome = await dispatch(tool(gives(AssertionError("it ran"))), arguments, caller())
    assert (outcome.is_error, outcome.error_kind) == (True, "invalid")
    assert words in outcome.output
    assert len(outcome.output) < 1500


@pytest.mark.parametrize("value", ["é" * 100_000, {"rows": ["x" * 100] * 2000}, ["\U0001f600" * 50_000]])
async def test_a_long_result_is_cut_with_a_note(value: Any) -> None:
    outcome = await dispatch(tool(gives(value)), {}, caller())
    text = as_text(outcome.output)
    assert outcome.cut
    assert not outcome.is_error
    assert MOST_RESULT_BYTES - 4 <= len(text.encode()) <= MOST_RESULT_BYTES
    assert text.endswith("Ask for less, or for another part.]")
    assert as_text(value).startswith(text.partition("\n[Cut here")[0])


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object(), b"bytes", {"deep": [[]]}])
async def test_a_result_that_is_no_json_is_a_failure(value: Any) -> None:
    if isinstance(value, dict):
        for _ in range(200):
            value = [value]
    outcome = await dispatch(tool(gives(value)), {}, caller())
    assert (outcome.is_error, outcome.error_kind) == (True, "crash")


async def test_what_the_database_cannot_store_is_replaced() -> None:
    outcome = await dispatch(tool(gives({"a\0": "x\0y\ud800z"})), {}, caller())
    assert outcome.output == {"a\ufffd": "x\ufffdy\ufffdz"}


async def test_nothing_is_said_to_be_done_when_nothing_comes_back() -> None:
    assert (await dispatch(tool(gives(None)), {}, caller())).output == "Done."


@STORED
async def test_a_secret_that_a_vendor_repeats_does_not_come_back(owner: User, caplog: pytest.LogCaptureFixture) -> None:
    async def run(arguments: dict[str, Any], use: Use) -> Any:
        key = use.config["api_key"]
        assert key == SECRET
        if arguments:
            raise ToolError(f"The vendor does not like {key}.", "refused")
        return Outcome({"echo": [f"Bearer {key}"], key: 1})

    tool(run, auth_mode="tenant", config_schema=CONFIG)
    await in_thread(actions.register_builtin, owner, name="mine", provider="probe", config={"api_key": SECRET})
    on = await shelf.caller_shelf(caller(owner.pk))
    caplog.set_level(logging.DEBUG)
    for arguments in ({}, {"text": "x"}):
        outcome = await dispatch(on.tools["mine"], arguments, caller(owner.pk))
        assert SECRET not in repr(outcome)
        assert "[hidden]" in as_text(outcome.output)
    assert (await dispatch(on.tools["mine"], {}, caller(owner.pk))).credential == "tenant"
    assert SECRET not in caplog.text


@STORED
async def test_a_tool_revoked_while_the_turn_runs_is_not_run(owner: User, stranger: User) -> None:
    tool(gives("ran"))
    row = await in_thread(actions.register_builtin, owner, name="mine", provider="probe")
    found = (await shelf.caller_shelf(caller(owner.pk))).tools["mine"]
    assert (await dispatch(found, {}, caller(owner.pk))).output == "ran"
    assert (await dispatch(found, {}, caller(stranger.pk))).error_kind == "unknown"
    assert not await in_thread(actions.revoke, stranger.pk, row.wire_id)
    assert await in_thread(actions.revoke, owner.pk, row.wire_id)
    assert (await dispatch(found, {}, caller(owner.pk))).error_kind == "unknown"


@STORED
async def test_an_override_of_the_schema_can_narrow_but_not_widen(owner: User) -> None:
    tool(gives("ran"))
    narrow = {"type": "object", "properties": {"text": {"enum": ["a"]}}}
    await in_thread(actions.register_builtin, owner, name="mine", provider="probe", input_schema=narrow)
    found = (await shelf.caller_shelf(caller(owner.pk))).tools["mine"]
    assert (await dispatch(found, {"text": "a"}, caller(owner.pk))).output == "ran"
    for arguments in ({"text": "b"}, {"other": 1}):
        assert (await dispatch(found, arguments, caller(owner.pk))).error_kind == "invalid"


@STORED
async def test_a_tool_that_needs_an_account_says_how_to_connect_it(owner: User) -> None:
    one = tool(gives("ran"), auth_mode="per_user", config_schema=CONFIG)
    outcome = await dispatch(one, {}, caller(owner.pk))
    assert (outcome.error_kind, outcome.is_error) == ("not_connected", True)
    assert "qlaud_manage_connections" in outcome.output


def test_calls_of_multi_execute_are_taken_as_models_write_them() -> None:
    written: list[dict[str, Any]] = [
        {"calls": [{"tool": "a", "args": {"x": 1}}, {"tool": "b"}]},
        {"calls": [{"tool": "a", "arguments": {"x": 1}}, {"tool": "b", "args": ""}]},
        {"calls": json.dumps([{"tool": "a", "args": '{"x": 1}'}, {"tool": "b", "args": {}}])},
    ]
    assert [expand(one) for one in written] == [[("a", {"x": 1}), ("b", {})]] * 3
    refused: list[Any] = [[], "[", [1], [{"args": {}}], [{"tool": "a", "args": [1]}]]
    for bad in ({}, *({"calls": calls} for calls in refused)):
        with pytest.raises(ToolError):
            expand(bad)
    with pytest.raises(ToolError, match="at most 20"):
        expand({"calls": [{"tool": "a"}] * 21})


def test_results_of_multi_execute_stay_in_order() -> None:
    calls: list[tuple[str, dict[str, Any]]] = [("a", {}), ("b", {})]
    both = compose(calls, [Outcome("fine"), Outcome("bad", is_error=True)])
    assert both.output == {
        "results": [{"tool": "a", "output": "fine", "is_error": False}, {"tool": "b", "output": "bad", "is_error": True}]
    }
    assert not both.is_error
    assert compose(calls, [Outcome("bad", is_error=True)] * 2).is_error
