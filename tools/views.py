"""The settings pages: what the assistant may use and when it asks, and which services it may use on the person's behalf."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import User
from tools import actions, connections, mcp_catalog, registry, rules
from tools.actions import Refusal
from tools.models import RegisteredTool, ToolRule
from tools.registry import Builtin

DEFAULT = "default"
OWN = "chatai"  # the brand of tools that belong to nobody else


@dataclass(frozen=True, slots=True)
class Listed:
    """A built-in tool as the page lists it."""

    name: str  # what it is called by, and what a rule for it says
    title: str
    description: str
    writes: bool
    rule: str  # allow, ask, deny, or "default"
    usual: str  # what happens by default
    open: bool  # works without an account


@dataclass(frozen=True, slots=True)
class Group:
    """The tools of one vendor."""

    title: str
    tools: list[Listed]
    open: bool  # at least some of them work without an account
    tool: str  # what to connect, where an account is needed
    status: str  # "connected", "not_connected", or empty


def _user(request: HttpRequest) -> User:
    return cast(User, request.user)


@require_safe
@login_required
@never_cache
def show_tools(request: HttpRequest) -> HttpResponse:
    user = _user(request)
    mine = list(ToolRule.objects.filter(user=user))
    everywhere = {rule.pattern: rule for rule in mine if rule.thread_id is None}
    page = {
        "groups": _groups(user, everywhere),
        "registered": RegisteredTool.objects.for_user(user.pk),
        "rules": [rule for rule in mine if rule.thread_id is None],
        "chat_rules": [rule for rule in mine if rule.thread_id is not None],
        "admin_rules": rules.of_everybody(),
        "verdicts": ToolRule.Verdict.choices,
    }
    return render(request, "settings/tools.html", page)


def _groups(user: User, rules: dict[str, ToolRule]) -> list[Group]:
    brands: dict[str, list[Builtin]] = {}
    for one in registry.builtins():
        brands.setdefault(one.brand, []).append(one)
    connected = {row["tool"]: row["status"] for row in connections.listing(user.pk)}
    ordered = sorted(brands, key=lambda brand: (brand != OWN, brand.lower()))
    return [_group(brand, brands[brand], rules, connected) for brand in ordered]


def _group(brand: str, tools: list[Builtin], rules: dict[str, ToolRule], connected: dict[str, str]) -> Group:
    listed = [
        Listed(
            name=one.slug,
            title=one.display_name,
            description=one.description,
            writes=one.writes,
            rule=rules[one.slug].verdict if one.slug in rules else DEFAULT,
            usual="Ask" if one.writes else "Allow",
            open=one.open,
        )
        for one in tools
    ]
    needy = next((one for one in tools if not one.open and one.auth_mode in ("per_user", "either")), None)
    wanted = connections.of_builtin(needy).name if needy else ""
    return Group(
        title="Without an account" if brand == OWN else brand,
        tools=listed,
        open=any(one.open for one in tools),
        tool=wanted,
        status=_status(tools, connected) if needy else "",
    )


def _status(tools: Iterable[Builtin], connected: dict[str, str]) -> str:
    """Tools of one vendor share a connection; whichever of them is listed tells."""
    found = {connected.get(connections.of_builtin(one).name) for one in tools}
    return "connected" if "connected" in found else "not_connected"


@require_POST
@login_required
def set_rule(request: HttpRequest) -> HttpResponse:
    """One rule for a pattern; `default` takes it away."""
    user, pattern, verdict = _user(request), request.POST.get("pattern", "").strip(), request.POST.get("verdict", "")
    if verdict == DEFAULT:
        actions.clear_rule(user, pattern)
    else:
        try:
            actions.set_rule(user, pattern, verdict)
        except Refusal as refusal:
            messages.error(request, refusal.message)
            return redirect("settings_tools")
    messages.success(request, "Saved.")
    return redirect("settings_tools")


@require_POST
@login_required
def drop_rule(request: HttpRequest, rule_id: UUID) -> HttpResponse:
    if not actions.drop_rule(_user(request), rule_id):
        raise Http404
    messages.success(request, "The rule is gone.")
    return redirect("settings_tools")


@require_safe
@login_required
@never_cache
def show_connections(request: HttpRequest) -> HttpResponse:
    user = _user(request)
    rows = connections.listing(user.pk)
    known = {row["tool"] for row in rows}
    wanted = connections.find(user.pk, request.GET.get("tool", "")[:200]) if request.GET.get("tool") else None
    page = {
        "wanted": wanted,
        "connected": [row for row in rows if row["status"] == "connected" or row.get("problem")],
        "offered": [row for row in rows if row["status"] != "connected" and not row.get("problem")],
        "catalogue": _catalogue(known),
    }
    return render(request, "settings/connections.html", page)


def _catalogue(known: set[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The vendors that can be connected by name, by group, without those that are listed above."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in mcp_catalog.entries().values():
        if entry.wire_name in known:
            continue
        possible = entry.open or bool(entry.fields) or entry.signs_in
        groups.setdefault(entry.group, []).append({"tool": entry.wire_name, "entry": entry, "possible": possible})
    return sorted(groups.items())
