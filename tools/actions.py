"""Registering and revoking tools, and setting rules: what every door calls."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from chatai.lib.http import EgressError, check_url
from tools import registry
from tools.arguments import BadSchema, check_schema, misfit
from tools.connected import WIRE_PREFIX, put_secret
from tools.meta import NAMES
from tools.models import RegisteredTool, ToolRule
from tools.registry import Builtin
from tools.shelf import PREFIX

MOST_TOOLS = 5000  # of one account
MOST_TIMEOUT_MS = 120_000
SECRET_MARK = "wsk_"  # noqa: S105
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
PATTERN = re.compile(r"[A-Za-z0-9_./*:-]{1,200}")


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """400, 404 or 409, with a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def register_webhook(
    user: User, *, name: str, description: str, input_schema: Any, webhook_url: str, timeout_ms: int = 30_000, approval: str | None = None
) -> tuple[RegisteredTool, str]:
    """The tool and its signing secret, which is shown nowhere again. Raises Refusal."""
    _check_schema(input_schema)
    try:
        check_url(webhook_url)
    except EgressError as error:
        raise Refusal(400, f"webhook_url: {error.message}") from None
    row = RegisteredTool(
        user=user,
        kind=RegisteredTool.Kind.WEBHOOK,
        name=_free_name(name),
        description=description,
        input_schema=input_schema,
        webhook_url=webhook_url,
        timeout_ms=timeout_ms,
    )
    secret = SECRET_MARK + secrets.token_urlsafe(32)
    put_secret(row, "sealed", secret)
    _insert(row, approval)
    return row, secret


def register_builtin(
    user: User,
    *,
    name: str,
    provider: str,
    auth_mode: str = "tenant",
    config: dict[str, Any] | None = None,
    description: str | None = None,
    input_schema: Any = None,
    approval: str | None = None,
) -> RegisteredTool:
    """A built-in under a name of the account's own: with its settings, or (per_user) with what each caller connects. Raises Refusal."""
    one = registry.builtin(provider)
    if one is None:
        raise Refusal(400, f"provider: there is no built-in tool {provider[:80]!r}. GET /v1/builtins lists them.")
    if input_schema is not None:
        _check_schema(input_schema)
    row = RegisteredTool(
        user=user,
        kind=RegisteredTool.Kind.BUILTIN,
        name=_free_name(name),
        description=description or one.description,
        input_schema=one.input_schema if input_schema is None else input_schema,
        provider=one.slug,
        auth_mode=auth_mode,
    )
    _check_config(one, auth_mode, config)
    if config:
        put_secret(row, "sealed", json.dumps(config))
    _insert(row, approval)
    return row


def _check_config(one: Builtin, auth_mode: str, config: dict[str, Any] | None) -> None:
    if auth_mode == "per_user":
        if one.auth_mode not in ("per_user", "either"):
            raise Refusal(400, f"auth_mode: {one.slug} cannot be connected by each user.")
        if config is not None:
            raise Refusal(400, "config: each user connects by themselves with auth_mode per_user; leave it out.")
    elif one.auth_mode == "per_user":
        raise Refusal(400, f"auth_mode: {one.slug} is connected by each user; send per_user.")
    elif config is None and not one.open:
        raise Refusal(400, f"config: {one.slug} needs settings; its config_schema is in GET /v1/builtins.")
    elif config is not None and (wrong := misfit(one.config_schema, config)):
        raise Refusal(400, f"config: {_without_values(wrong, config)}")


def _without_values(said: str, config: dict[str, Any]) -> str:
    """A complaint that repeats nothing of the settings, which may be secrets."""
    for value in config.values():
        said = said.replace(json.dumps(value, ensure_ascii=False), "the value").replace(str(value), "…")
    return said.replace("The arguments do", "It does")


def _check_schema(schema: Any) -> None:
    try:
        check_schema(schema)
    except BadSchema as error:
        raise Refusal(400, f"input_schema: {error}") from None


def _free_name(name: str) -> str:
    if name.startswith(PREFIX):
        raise Refusal(400, f"name: {PREFIX} is reserved for built-in tools.")
    if not NAME.fullmatch(name):
        raise Refusal(400, "name: 1 to 64 letters, digits, _ and -.")
    if name in NAMES:
        raise Refusal(409, f"name: {name} is one of the meta-tools.")
    return name


@transaction.atomic
def _insert(row: RegisteredTool, approval: str | None) -> None:
    if RegisteredTool.objects.for_user(row.user_id).count() >= MOST_TOOLS:
        raise Refusal(400, f"An account has at most {MOST_TOOLS:,} tools. Delete some.")
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        raise Refusal(409, f"name: you already have a tool called {row.name}. Delete it first.") from None
    if approval is not None:
        set_rule(row.user, row.name, approval)


def revoke(user_id: UUID, wire_id: str) -> bool:
    """At once, for running turns too; the name is free again. False when there is no such tool of the account."""
    try:
        key = UUID(hex=wire_id.removeprefix(WIRE_PREFIX))
    except ValueError:
        return False
    with transaction.atomic():
        row = RegisteredTool.objects.for_user(user_id).select_for_update().filter(pk=key).first()
        if row is None:
            return False
        row.revoked_at, row.sealed = timezone.now(), ""
        row.save(update_fields=["revoked_at", "sealed"])
        ToolRule.objects.filter(user_id=user_id, pattern=row.name, thread_id=None).delete()  # not for the next one of this name
    return True


def set_rule(user: User, pattern: str, verdict: str, reason: str = "") -> ToolRule:
    """The account's rule for a pattern, in the place of an earlier one. Raises Refusal."""
    if not PATTERN.fullmatch(pattern):
        raise Refusal(400, "pattern: letters, digits and _ . / : - with * for any characters.")
    if verdict not in ToolRule.Verdict.values:
        raise Refusal(400, "verdict: allow, ask or deny.")
    rule, _ = ToolRule.objects.update_or_create(user=user, pattern=pattern, thread_id=None, defaults={"verdict": verdict, "reason": reason})
    return rule


def clear_rule(user: User, pattern: str) -> None:
    """What holds without a rule of the account's holds again; rules of single chats stay."""
    ToolRule.objects.filter(user=user, pattern=pattern, thread_id=None).delete()


def drop_rule(user: User, rule_id: UUID) -> bool:
    """Also one of a chat. False when it is not the account's."""
    return bool(ToolRule.objects.filter(user=user, pk=rule_id).delete()[0])
