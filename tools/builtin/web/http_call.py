"""Any HTTP call that whoever registers it describes as a template (contract 11.4)."""

import json
from typing import Any
from urllib.parse import quote

from chatai.lib.http import EgressError, fetch
from tools.call_template import Values, address, body, mapping, names
from tools.locking import trusted
from tools.redaction import redact
from tools.registry import Builtin, Use
from tools.schemas import choice, defaults, record, takes, text
from tools.values import Outcome, ToolError
from tools.vendor import EGRESS_KINDS, located

CONFIG = takes(
    "url",
    url=text("Address with placeholders: {{input.x}}, {{secrets.X}}, {{end_user.id}}, {{end_user.metadata.x}}.", least=8, most=4000),
    method=choice("Method.", "GET", "POST", "PUT", "PATCH", "DELETE", default="POST"),
    headers=text("JSON object of headers.", default="{}"),
    body_template=text("The body; none when empty. Its content type is a header.", default=""),
    secrets={**text("JSON object of secrets.", default="{}"), "format": "password"},
    lock_input_fields=text('JSON array: "to" takes end_user.metadata.to, "to=end_user.metadata.email" takes that.', default="[]"),
)


async def run(arguments: dict[str, Any], use: Use) -> Outcome:
    config = {**defaults(CONFIG), **use.config}
    if not config.get("url"):
        raise ToolError("This tool has no address yet: whoever registers it gives one.", "not_connected")
    secrets = mapping(config["secrets"], "secrets")
    values = Values({**arguments, **_locked(config["lock_input_fields"], use)}, secrets, use.caller)
    # Names of headers are compared without case.
    headers = {name.lower(): values.line(template, name) for name, template in mapping(config["headers"], "headers").items()}
    content = body(config["body_template"], headers.get("content-type", ""), values) if config["body_template"] else None
    target = located(address(config["url"], values))
    try:
        reply = await fetch(config["method"], target, headers=headers, content=content, seconds=TOOL.seconds)
    except EgressError as error:
        raise ToolError(redact(str(error), list(secrets.values())), EGRESS_KINDS.get(error.kind, "refused")) from None
    try:
        answer = json.loads(reply.body)
    except ValueError:
        answer = reply.text()
    failed = not 200 <= reply.status < 300
    # A secret may come back as it went into an address.
    hidden = [form for secret in secrets.values() for form in (secret, quote(secret, safe=""))]
    output = redact({"status": reply.status, "body": answer}, hidden)
    return Outcome(output, is_error=failed, http_status=reply.status, error_kind="refused" if failed else "")


def _locked(setting: str, use: Use) -> dict[str, Any]:
    """Inputs that come from the conversation, whatever the model said."""
    found = {}
    for entry in names(setting, "lock_input_fields"):
        name, _, path = entry.partition("=")
        found[name] = trusted(path or ("end_user.id" if name == "end_user_id" else f"end_user.metadata.{name}"), use.caller)
    return found


TOOL = Builtin(
    slug="http-call",
    display_name="HTTP call",
    description="Makes the HTTP call that was set up for it and gives status and body of the answer.",
    brand="chatai",
    input_schema=record("What the template takes as {{input.…}}.", properties={}),
    run=run,
    config_schema=CONFIG,
    auth_mode="tenant",
)
