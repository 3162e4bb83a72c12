"""Who gets what at every address: a visitor, a stranger, the owner. A route that is missing here fails the build."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client
from django.utils import timezone

from accounts.keys import mint
from accounts.models import User
from chatai.lib.ids import uuid7
from tests.billing.spending import spend
from tests.page import Browser, Page
from tests.running import World
from tests.threads.test_pages import conversation
from threads.approvals import digest_of, token_of
from threads.attachments import store_blocks
from threads.models import Approval, Compaction, Message, Thread, ToolCall, Turn
from tools import connect_links, mcp_catalog, mcp_servers
from tools.holders import ACCOUNT
from tools.models import ToolRule

SIGN_IN = 302  # to the sign-in page
SIGNED_OUT, NO_SUCH_CHAT = 4401, 4404  # close codes
SECRET = "Only for the owner"
SECRET_FILE = base64.b64encode(SECRET.encode()).decode()


@dataclass(frozen=True)
class Rule:
    """The status (or close code) for each; `method` is the one that the page uses."""

    method: str
    visitor: int
    stranger: int
    owner: int


OWN_PAGE = Rule("GET", SIGN_IN, 200, 200)  # everybody has one, with nothing of the others in it
OPEN = Rule("GET", 200, 200, 200)
READ = Rule("GET", SIGN_IN, 404, 200)
CHANGE = Rule("POST", SIGN_IN, 404, 302)

ROUTES = {
    "": Rule("GET", 200, 302, 302),
    "billing/": OWN_PAGE,
    "billing/top-up/": Rule("POST", SIGN_IN, 400, 400),  # it was not told how much
    "billing/plans/": Rule("GET", SIGN_IN, 302, 302),  # payments are off here; when on, see tests/billing/test_stripe_pages.py
    "billing/plans/subscribe/": Rule("POST", SIGN_IN, 400, 400),
    "billing/portal/": Rule("POST", SIGN_IN, 302, 302),
    "billing/done/": Rule("GET", SIGN_IN, 302, 302),
    "billing/invoices/": Rule("GET", SIGN_IN, 302, 302),
    "billing/webhook": Rule("POST", 400, 400, 400),  # Stripe did not sign it
    "billing/usage/": OWN_PAGE,
    "billing/usage/lines.csv": OWN_PAGE,
    "billing/alert": OWN_PAGE,
    "billing/alert/dismiss": Rule("POST", SIGN_IN, 302, 302),
    "c/new": OWN_PAGE,
    "c/all": OWN_PAGE,
    "c/archived": OWN_PAGE,
    "c/approvals/<uuid:approval_id>": READ,
    "c/approvals/<uuid:approval_id>/decide": CHANGE,
    "c/approvals/<uuid:approval_id>/answer": CHANGE,
    "c/calls/<uuid:turn_id>/<path:tool_use_id>": READ,
    "c/files/<uuid:file_id>": READ,
    "c/<uuid:thread_id>": READ,
    "c/<uuid:thread_id>/older": READ,
    "c/<uuid:thread_id>/text/<int:seq>": READ,
    "c/<uuid:thread_id>/send": CHANGE,
    "c/<uuid:thread_id>/stop": CHANGE,
    "c/<uuid:thread_id>/rename": CHANGE,
    "c/<uuid:thread_id>/pin": CHANGE,
    "c/<uuid:thread_id>/archive": CHANGE,
    "c/<uuid:thread_id>/delete": CHANGE,
    "c/<uuid:thread_id>/undo": CHANGE,
    "c/turns/<uuid:turn_id>/withdraw": CHANGE,
    "c/turns/<uuid:turn_id>/edit": Rule("POST", SIGN_IN, 404, 409),  # something is queued behind it
    "c/turns/<uuid:turn_id>/regenerate": Rule("POST", SIGN_IN, 404, 409),
    "c/turns/<uuid:turn_id>/switch": Rule("POST", SIGN_IN, 404, 409),
    "c/turns/<uuid:turn_id>/rate": CHANGE,
    "c/turns/<uuid:turn_id>/fork": CHANGE,
    "c/turns/<uuid:turn_id>/delete": Rule("POST", SIGN_IN, 404, 409),
    "c/turns/<uuid:turn_id>/undo-delete": Rule("POST", SIGN_IN, 404, 409),
    "c/summaries/<uuid:compaction_id>/undo": CHANGE,
    "connect/start": Rule("POST", SIGN_IN, 404, 404),  # it was not told what
    "connect/end": Rule("POST", SIGN_IN, 404, 404),
    "connect/return": Rule("GET", 404, 404, 404),  # nobody was sent away
    "connect/client.json": OPEN,
    "connect/<str:token>": READ,
    "frame/image": Rule("GET", 400, 400, 400),  # it was not told which
    "frame/diagram": OPEN,
    "metrics": Rule("GET", 401, 401, 401),
    "search": OWN_PAGE,
    "search/palette": Rule("GET", SIGN_IN, 400, 400),  # it was not told what to look for; when it is, see tests/search/test_page.py
    "search/palette/meaning": Rule("GET", SIGN_IN, 400, 400),
    "settings/": Rule("GET", SIGN_IN, 302, 302),
    "settings/profile/": OWN_PAGE,
    "settings/appearance/": OWN_PAGE,
    "settings/chat/": OWN_PAGE,
    "settings/security/": OWN_PAGE,
    "settings/security/sessions/<int:session_id>/end/": Rule("POST", SIGN_IN, 404, 302),
    "settings/keys/": OWN_PAGE,
    "settings/keys/<uuid:key_id>/revoke/": Rule("POST", SIGN_IN, 404, 302),
    "settings/tools/": OWN_PAGE,
    "settings/tools/rules/": Rule("POST", SIGN_IN, 302, 302),  # a rule of one's own
    "settings/tools/rules/<uuid:rule_id>/drop/": CHANGE,
    "settings/connections/": OWN_PAGE,
    "settings/data/": OWN_PAGE,
    "settings/data/close/": Rule("POST", SIGN_IN, 400, 400),  # nobody confirmed it
    "ws:ws/": Rule("WS", SIGNED_OUT, 0, 0),
    "ws:ws/c/<uuid:thread_id>/": Rule("WS", SIGNED_OUT, NO_SUCH_CHAT, 0),
}
PAGES = sorted(route for route in ROUTES if not route.startswith("ws:"))


@pytest.fixture
def thread(owner: User) -> Thread:
    thread = conversation(owner, 2, title=SECRET)
    Message.objects.filter(thread=thread).update(content=[{"type": "text", "text": SECRET}])
    queued = Turn.objects.create(thread=thread, number=3, request_id="r", request_digest=b"", model="demo")
    Thread.objects.filter(pk=thread.pk).update(turn_count=queued.number)
    Message.objects.create(thread=thread, turn=queued, role="user", content=[{"type": "text", "text": SECRET}])
    Compaction.objects.create(thread=thread, through_seq=2, summary=SECRET, model="demo")
    ToolRule.objects.create(user=owner, pattern="linear/*", verdict="ask", reason=SECRET)
    store_blocks(owner, thread.pk, [{"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": SECRET_FILE}}])
    call = ToolCall.objects.create(turn=queued, tool_use_id="toolu_1/x", name="linear/create_issue", arguments={"title": SECRET})
    for kind in Approval.Kind.values:
        digest = digest_of(call.name, "", call.arguments)
        until = timezone.now() + timedelta(hours=1)
        Approval.objects.create(call=call, kind=kind, arguments=call.arguments, arguments_digest=digest, question={}, expires_at=until)
    key, _ = mint(owner, SECRET)
    spend(owner, 4_000_000, key=key, model=SECRET, thread_id=thread.pk)
    return thread


def approval(thread: Thread, route: str) -> Approval:
    kind = "form" if route.endswith("/answer") else "approval"
    return Approval.objects.get(call__turn__thread=thread, kind=kind)


def address(route: str, thread: Thread, session_id: int) -> str:
    answered = route.endswith(("/rate", "/fork", "/delete", "/undo-delete"))
    turn = Turn.objects.get(thread=thread, number=1) if answered else Turn.objects.get(thread=thread, status="queued")
    holes = {
        "<uuid:approval_id>": approval(thread, route).pk,
        "<path:tool_use_id>": "toolu_1/x",
        "<uuid:file_id>": thread.files.get().pk,
        "<uuid:rule_id>": ToolRule.objects.get(reason=SECRET).pk,
        "<uuid:thread_id>": thread.pk,
        "<uuid:turn_id>": turn.pk,
        "<uuid:compaction_id>": thread.compactions.get().pk,
        "<uuid:key_id>": thread.user.api_keys.get(name=SECRET).pk,
        "<int:seq>": 1,
        "<int:session_id>": session_id,
        "<str:token>": connect_token(thread.user),
    }
    for hole, value in holes.items():
        route = route.replace(hole, str(value))
    return f"/{route}?before=3" if route.endswith("/older") else f"/{route}"


def connect_token(user: User) -> str:
    """Of a link to connect a service, for the person's own chats."""
    server = mcp_servers.of_catalogue(user.pk, mcp_catalog.entries()["linear"])
    return connect_links.mint(user.pk, ACCOUNT, server.service, server)[0].rpartition("/")[2]


def state(user: User) -> list[object]:
    rows = (Thread.objects.filter(user=user), Turn.objects.filter(thread__user=user), Message.objects.filter(thread__user=user))
    return [list(found.order_by("pk").values()) for found in rows]


def ask(client: Client, route: str, thread: Thread, session_id: int) -> tuple[int, str]:
    fields = {"text": "hi", "model": "demo", "request_id": str(uuid7()), "title": "Mine", "on": "1", "rating": "1"}
    fields |= {
        "once": (token := token_of(approval(thread, route))),
        "token": token,
        "action": "decline",
        "pattern": "mine",
        "verdict": "ask",
    }
    path = address(route, thread, session_id)
    response = client.get(path) if ROUTES[route].method == "GET" else client.post(path, fields)
    return response.status_code, response.content.decode()


@pytest.mark.parametrize("route", PAGES)
def test_every_page_gives_each_person_their_own(
    route: str, thread: Thread, owner: User, stranger: User, client_of: Callable[[User], Client]
) -> None:
    mine = client_of(owner)
    session_id = UserSession.objects.create(user=owner, ip="127.0.0.1", user_agent="another device", session_key="s" * 32).pk
    before = state(owner)
    for who, client, expected in (
        ("visitor", Client(), ROUTES[route].visitor),
        ("stranger", client_of(stranger), ROUTES[route].stranger),
    ):
        status, body = ask(client, route, thread, session_id)
        assert status == expected, who
        assert SECRET not in body, who
        assert owner.email not in body, who
        assert state(owner) == before, who
    assert ask(mine, route, thread, session_id)[0] == ROUTES[route].owner


def socket(world: World, user: User | None, thread_id: UUID | None) -> Page:
    page = Page(Browser(world.stack.url, user), thread_id or uuid7())
    page.socket_path = page.socket_path if thread_id else "/ws/"
    world.pages.append(page)
    return page.connect()


def test_a_socket_opens_for_its_owner_alone(world: World) -> None:
    owner, stranger = world.person("owner"), world.person("stranger")
    page = world.page(owner)
    assert page.send("hello", new=True).status == 204
    rules = ROUTES["ws:ws/c/<uuid:thread_id>/"]
    assert socket(world, stranger, page.thread_id).until_closed() == rules.stranger
    assert socket(world, None, page.thread_id).until_closed() == rules.visitor
    assert socket(world, stranger, uuid7()).until_closed() == rules.stranger, "a missing one looks the same"
    page.open()
    page.until(lambda p: p.over)
    assert page.close_code is None


def test_the_sidebar_socket_tells_nobody_about_others(world: World) -> None:
    owner, stranger = world.person("owner"), world.person("stranger")
    assert socket(world, None, None).until_closed() == ROUTES["ws:ws/"].visitor
    watching = socket(world, stranger, None)
    page = world.page(owner)
    page.send(SECRET, new=True)
    page.open()
    page.until(lambda p: p.over)
    assert watching.close_code is None
    assert SECRET not in watching.document.text
