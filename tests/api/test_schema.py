"""The description of the API is honest: generated calls bring no 500, and every reply fits what is said of it."""

import re
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from tests.api.client import Caller

HOLDS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
NAMED = {"end_user_id", "file_id", "tool_id", "tool_use_id"}  # the other ids are UUIDs
NOWHERE = "00000000-0000-4000-8000-000000000000"
EXAMPLES = 25  # of every operation
FEED = "GET /v1/threads/{thread_id}/events"  # stays open for minutes when there is such a thread
GONE_AFTER = "DELETE /v1/threads/{thread_id}"
FILE = "GET /v1/files/{file_id}/content"
# What no generated call says by chance: an address that is there, a question that is open, a token.
PARTICULAR = {
    "POST /v1/tools",
    "POST /v1/tools/execute",
    "POST /v1/mcp-servers",
    "POST /v1/mcp-servers/{server_id}/refresh",
    "POST /v1/threads/{thread_id}/tool-results/{tool_use_id}",
    "POST /v1/threads/{thread_id}/approvals/{approval_id}",
}


def test_generated_calls_bring_no_fault_and_replies_that_fit_the_schema(admin: Caller) -> None:
    api: Any = schemathesis.openapi.from_url(f"{admin.url}/v1/openapi.json")
    answered = admin.send(thread_id := admin.thread(), "[[tokens=2]]").json["qlaud"]
    minted = admin.post("/v1/keys", {"name": "one"}).json
    tool = admin.post("/v1/tools", {"name": "sum", "provider": "qlaud-builtin/calculator"}).json
    server = admin.post("/v1/mcp-servers", {"name": "linear", "catalog_slug": "linear", "auth_mode": "per_user"}).json
    real = {"thread_id": thread_id, "turn_id": answered["turn_id"], "key_id": minted["id"], "end_user_id": "nobody"}
    real |= {"tool_id": tool["id"], "server_id": server["id"]}
    statuses = {}
    for operation in (found.ok() for found in api.get_all_operations()):
        statuses[operation.label] = explore(operation, admin.key, {} if operation.label in (FEED, GONE_AFTER) else real)
    assert {label for label, seen in statuses.items() if not seen & {200, 201}} <= {FEED, GONE_AFTER, FILE, *PARTICULAR}, statuses


def explore(operation: Any, key: str, real: dict[str, str]) -> set[int]:
    """Call an operation in many ways, half of them with ids that exist; the statuses that came back."""
    seen = set()

    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(), known=st.booleans(), model=st.booleans())
    def call(case: Any, known: bool, model: bool) -> None:
        if known:
            case.path_parameters = {name: real.get(name, value) for name, value in (case.path_parameters or {}).items()}
        if model and isinstance(case.body, dict) and "content" in case.body:
            case.body |= {"model": "demo", "content": "hello", "tools": []}
            case.body.pop("tools_mode", None)
        reply = case.call_and_validate(headers={"x-api-key": key}, checks=HOLDS, timeout=60)
        assert "x-request-id" in reply.headers
        seen.add(reply.status_code)

    call()
    return seen


def test_every_operation_says_that_it_wants_a_key_and_wants_it(admin: Caller) -> None:
    description = admin.get("/v1/openapi.json").json
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            assert {"4XX", "5XX"} < operation["responses"].keys()
            address = re.sub(r"{(\w+)}", lambda name: "x" if name[1] in NAMED else NOWHERE, path)
            reply = Caller(admin.url).call(method.upper(), address, {})
            assert reply.status == (200 if operation.get("security") == [] else 401), path
