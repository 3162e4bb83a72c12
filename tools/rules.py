"""Whether a call runs, is asked about, or is refused: what reads runs, what writes asks, and rules say otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import ApiKey
from tools.database import in_thread
from tools.models import ToolRule
from tools.values import Caller, Tool, Verdict

DEFAULT = "default"
REGISTERED = "registered"
VERDICTS: dict[str, Verdict] = {"allow": "allow", "ask": "ask", "deny": "deny"}


@dataclass(frozen=True, slots=True)
class Ruling:
    verdict: Verdict
    # "default", "changed" (the tool is not what was agreed to), "registered" (a webhook of the app's own), "rule <id>",
    # "admin rule <id>", "meta", "client"
    by: str


UNDECIDED = Ruling("ask", DEFAULT)


async def verdict(tool: Tool, arguments: dict[str, object], caller: Caller) -> Ruling:
    """What may be done with this call. Meta-tools and the caller's own tools do nothing by themselves and always run.

    An app's webhooks are its own code, which it registered to be called, and often there is nobody to ask: in turns by a key of the
    app's they run unless a rule says otherwise.
    """
    if tool.kind in ("meta", "client"):
        return Ruling("allow", tool.kind)
    return await in_thread(_verdict, tool, caller)


def _verdict(tool: Tool, caller: Caller) -> Ruling:
    ruling = decide(tool, rules_for(caller.user_id, caller.thread_id))
    if ruling == UNDECIDED and tool.kind == "webhook" and caller.key_id and not _personal(caller.key_id):
        return Ruling("allow", REGISTERED)
    return ruling


def of_everybody() -> QuerySet[ToolRule]:
    """Those that admins made for all accounts."""
    return ToolRule.objects.filter(user=None)


@lru_cache(maxsize=10_000)  # it never changes
def _personal(key_id: UUID) -> bool:
    """Whether the key is the one that a person's own chats run on."""
    return ApiKey.objects.filter(pk=key_id, personal=True).exists()


def decide(tool: Tool, rules: list[ToolRule]) -> Ruling:
    """The rules that fit, in this order: any deny; an administrator's ask; the chat's own; the person's, the most particular one
    first; an administrator's allow; what the tool is. A tool that changed since it was agreed to is never simply allowed.
    """
    ruling = _by_rules(tool, [rule for rule in rules if _fits(rule, tool)])
    if ruling.verdict == "allow" and tool.unconfirmed:
        return Ruling("ask", "changed")
    return ruling


def _by_rules(tool: Tool, fitting: list[ToolRule]) -> Ruling:
    admins = [rule for rule in fitting if rule.user_id is None]
    own = sorted((rule for rule in fitting if rule.user_id), key=_particular, reverse=True)
    order = [
        *(rule for rule in fitting if rule.verdict == "deny"),
        *(rule for rule in admins if rule.verdict == "ask"),
        *own,
        *(rule for rule in admins if rule.verdict == "allow"),
    ]
    if not order:
        return Ruling("ask" if tool.writes else "allow", DEFAULT)
    first = order[0]
    return Ruling(VERDICTS[first.verdict], f"{'rule' if first.user_id else 'admin rule'} {first.pk}")


def _fits(rule: ToolRule, tool: Tool) -> bool:
    if rule.tool_version and rule.tool_version != tool.version:
        return False
    return any(fnmatchcase(name, rule.pattern) for name in (tool.name, tool.provider) if name)


def _particular(rule: ToolRule) -> tuple[bool, bool, int]:
    return rule.thread_id is not None, "*" not in rule.pattern, len(rule.pattern)


def rules_for(user_id: UUID, thread_id: UUID | None) -> list[ToolRule]:
    here = Q(thread_id=None) if thread_id is None else Q(thread_id=None) | Q(thread_id=thread_id)
    return list(ToolRule.objects.filter(Q(user_id=user_id) | Q(user_id=None), here))


def allow_in_chat(user_id: UUID, thread_id: UUID, tool: Tool) -> ToolRule:
    """“Always in this chat”: this tool, as long as it is what it is now."""
    rule, _ = ToolRule.objects.update_or_create(
        user_id=user_id, thread_id=thread_id, pattern=tool.name, defaults={"verdict": "allow", "tool_version": tool.version}
    )
    return rule


def forget_chats(thread_ids: list[UUID]) -> None:
    """What was decided in conversations that are erased."""
    ToolRule.objects.filter(thread_id__in=thread_ids).delete()
