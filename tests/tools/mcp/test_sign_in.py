"""Connecting: credentials that somebody enters, signing in at the vendor, and what happens to tokens afterwards."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import keys
from accounts.actions import close_account
from accounts.models import ApiKey, User
from tests.conftest import PASSWORD
from tests.tools.mcp.conftest import of_key, settled
from tests.tools.mcp.fake import Fake
from threads.actions import delete_end_user
from tools import connections, credentials, keeping, leftovers, mcp, mcp_catalog, mcp_servers, oauth_sites, tokens
from tools.connected import Connection, ConnectLink, Leftover, McpServer
from tools.holders import ACCOUNT
from tools.mcp_catalog import Entry, Field
from tools.oauth import Tokens
from tools.oauth_sites import OAuthError
from tools.values import Caller, Outcome, ToolError

# Work is done on a loop, and its connection to the database is not the one of a test that takes everything back.
pytestmark = pytest.mark.django_db(transaction=True)

Register = Callable[..., McpServer]
ClientOf = Callable[[User], Client]


def manage(caller: Caller, action: str, tool: str = "qlaud-mcp/desk", given: dict[str, Any] | None = None) -> dict[str, Any]:
    return async_to_sync(connections.manage)(caller, action, tool, given)


def use(caller: Caller, holder: str = ACCOUNT) -> Outcome:
    tool = next(tool for tool in mcp.tools_for(caller.user_id, holder) if tool.name == "desk/create_issue")
    return async_to_sync(mcp.call)(tool, {"title": "x"}, caller)


def sign_in(browser: Client, fake: Fake, address: str) -> Any:
    """What a person does with a link: opens it, signs in, allows it, comes back."""
    path = urlsplit(address).path
    assert b"Sign in to" in browser.get(path).content
    away = settled(browser.post(path, {"sign_in": "1"}))
    assert away.status_code == 200, away.content
    browser.cookies.update(away.cookies)
    found = re.search(rb'href="([^"]+/as/authorize[^"]+)"', away.content)
    assert found
    return settled(browser.get("/connect/return?" + fake.authorize(found[1].decode().replace("&amp;", "&"))))


@pytest.fixture
def desk(fake: Fake, register: Register) -> McpServer:
    fake.oauth = True
    return register("desk", server_url=fake.mcp, auth_mode="per_user")


@pytest.fixture
def connected(desk: McpServer, fake: Fake, caller: Caller, owner: User, client_of: ClientOf) -> Connection:
    assert sign_in(client_of(owner), fake, manage(caller, "connect")["connect_url"]).status_code == 200
    return Connection.objects.get()


def test_a_person_signs_in_by_the_link_and_the_tools_are_there(
    desk: McpServer, fake: Fake, caller: Caller, owner: User, client_of: ClientOf
) -> None:
    assert mcp.tools_for(owner.pk, ACCOUNT) == []
    assert manage(caller, "status") == {
        "tool": "qlaud-mcp/desk",
        "name": "desk",
        "status": "not_connected",
        "connected": False,
        "credentials_prompt": "Ask for a link with action connect and tool qlaud-mcp/desk, and give it to the person.",
    }
    link = manage(caller, "connect")
    assert 590_000 < link["expires_at"] - time.time() * 1000 <= 600_000
    page = sign_in(client_of(owner), fake, link["connect_url"])
    assert b"desk is connected" in page.content
    assert manage(caller, "status")["connected"] is True
    assert manage(caller, "list") == {"tools": [{"tool": "qlaud-mcp/desk", "name": "desk", "status": "connected"}]}
    assert not use(caller).is_error
    assert use(caller).credential == Connection.objects.get().label
    assert fake.clients["client-0"]["redirect_uris"] == ["http://127.0.0.1:8000/connect/return"]


def test_tools_that_were_left_out_are_told_of_beside_the_connection(
    desk: McpServer, fake: Fake, caller: Caller, owner: User, stranger: User, client_of: ClientOf
) -> None:
    fake.tools.append({"name": "broken_one", "inputSchema": "none"})
    assert sign_in(client_of(owner), fake, manage(caller, "connect")["connect_url"]).status_code == 200
    assert not use(caller).is_error
    note = b"1 of its tools is left out, for a name or schema that cannot be used: broken_one."
    assert note in client_of(owner).get("/settings/connections/").content
    assert note not in client_of(stranger).get("/settings/connections/").content
    assert manage(caller, "status")["note"].encode() == note


def test_no_secret_is_stored_in_the_open_or_shown(
    connected: Connection, fake: Fake, owner: User, caller: Caller, client_of: ClientOf
) -> None:
    rows = [*Connection.objects.values(), *McpServer.objects.values(), *ConnectLink.objects.values()]
    shown = f"{rows} {manage(caller, 'list')} {manage(caller, 'status')} {use(caller)}"
    for secret in (*fake.access, *fake.refresh, "client-s3cret-value"):
        assert secret not in shown


def test_a_link_works_once_for_its_person_and_for_ten_minutes(
    desk: McpServer, fake: Fake, caller: Caller, owner: User, stranger: User, client_of: ClientOf
) -> None:
    address = urlsplit(manage(caller, "connect")["connect_url"]).path
    assert Client().get(address).status_code == 302
    assert client_of(stranger).get(address).status_code == 404
    assert client_of(owner).get("/connect/" + "x" * 43).status_code == 404
    browser = client_of(owner)
    assert sign_in(browser, fake, address).status_code == 200
    assert browser.get(address).status_code == 404
    late = urlsplit(manage(caller, "connect")["connect_url"]).path
    ConnectLink.objects.filter(used_at=None).update(expires_at=timezone.now())
    assert browser.get(late).status_code == 404


def test_coming_back_counts_only_in_the_browser_that_left_and_with_what_was_asked(
    desk: McpServer, fake: Fake, caller: Caller, owner: User, client_of: ClientOf
) -> None:
    browser = client_of(owner)
    path = urlsplit(manage(caller, "connect")["connect_url"]).path
    away = settled(browser.post(path, {"sign_in": "1"}))
    address = re.search(rb'href="([^"]+/as/authorize[^"]+)"', away.content)[1].decode().replace("&amp;", "&")  # type: ignore[index]
    answer = fake.authorize(address)
    assert settled(client_of(owner).get("/connect/return?" + answer)).status_code == 400
    browser.cookies.update(away.cookies)
    wrong = answer.replace("%2Fas", "%2Fevil")
    assert b"another sign-in service" in settled(browser.get("/connect/return?" + wrong)).content
    state = parse_qs(answer)["state"][0]
    assert b"You did not allow it" in settled(browser.get(f"/connect/return?state={state}&error=access_denied&iss={fake.url}/as")).content
    assert browser.get("/connect/return?state=unknown&code=1").status_code == 404
    assert not Connection.objects.exists()


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("resource", {"resource": "https://other.example.com/mcp"}, "describes itself as another one"),
        ("resource", {"authorization_servers": []}, "does not say where"),
        ("resource", {"authorization_servers": ["http://169.254.169.254/"]}, "https"),
        ("service", {"issuer": "https://evil.example.com"}, "another one"),
        ("service", {"code_challenge_methods_supported": ["plain"]}, "PKCE"),
        ("service", {"authorization_endpoint": "javascript:alert(1)"}, "https"),
        ("service", {"token_endpoint": "http://10.0.0.1/token"}, "https"),
        ("service", {"registration_endpoint": None}, "MCP_OAUTH_CLIENTS"),
    ],
)
def test_a_sign_in_that_is_not_what_it_should_be_is_not_begun(
    desk: McpServer, fake: Fake, caller: Caller, owner: User, client_of: ClientOf, name: str, change: dict[str, Any], sentence: str
) -> None:
    fake.overrides[name] = change
    path = urlsplit(manage(caller, "connect")["connect_url"]).path
    page = settled(client_of(owner).post(path, {"sign_in": "1"}))
    assert page.status_code == 502
    assert sentence in page.content.decode()


def test_a_token_is_renewed_before_it_ends_and_by_one_process_only(connected: Connection, fake: Fake, caller: Caller) -> None:
    left = (connected.refresh_at or timezone.now()) - timezone.now()
    assert timedelta(seconds=3600 * 0.69) < left < timedelta(seconds=3600 * 0.86)
    Connection.objects.update(refresh_at=timezone.now() - timedelta(seconds=1))
    fake.token_requests.clear()

    async def many() -> None:
        await asyncio.gather(*(keeping.renew_tokens() for _ in range(5)))

    async_to_sync(many)()
    assert [form["grant_type"] for form in fake.token_requests] == ["refresh_token"]
    assert not use(caller).is_error
    assert Connection.objects.get().refresh_at > timezone.now()  # type: ignore[operator]


def test_connections_do_not_all_renew_at_the_same_moment(owner: User) -> None:
    got = [credentials._timed(oauth_tokens())[1] for _ in range(20)]
    assert len({round(due.timestamp()) for due in got if due}) > 5


def oauth_tokens() -> Any:
    from tools.oauth import Tokens

    return Tokens("a", "r", 3600.0)


def test_a_token_that_ended_unnoticed_is_renewed_by_the_call(connected: Connection, fake: Fake, caller: Caller) -> None:
    fake.access.clear()  # the server does not take it any more, though it should
    outcome = use(caller)
    assert not outcome.is_error
    assert outcome.attempts == 2
    assert fake.calls == [("create_issue", {"title": "x"})]


def test_a_sign_in_that_was_withdrawn_asks_to_connect_again(connected: Connection, fake: Fake, caller: Caller, owner: User) -> None:
    fake.access.clear()
    fake.refresh.clear()
    with pytest.raises(ToolError) as refused:
        use(caller)
    assert refused.value.kind == "not_connected"
    assert "qlaud-mcp/desk" in refused.value.message
    assert manage(caller, "status")["status"] == "not_connected"
    assert mcp.tools_for(owner.pk, ACCOUNT) == []
    assert mcp.findable(owner.pk, ACCOUNT)[0].name == "qlaud-mcp/desk"


def test_a_sign_in_service_in_trouble_breaks_nothing_for_good(connected: Connection, fake: Fake, caller: Caller) -> None:
    Connection.objects.update(refresh_at=timezone.now() - timedelta(seconds=1))
    fake.token_trouble = "500"
    async_to_sync(keeping.renew_tokens)()
    assert Connection.objects.get().status == Connection.Status.CONNECTED
    assert not use(caller).is_error


def test_disconnecting_gives_the_tokens_back(connected: Connection, fake: Fake, caller: Caller) -> None:
    held = {*fake.access, *fake.refresh}
    assert manage(caller, "disconnect")["disconnected"] is True
    assert set(fake.revoked) == held
    assert not Connection.objects.exists()
    assert manage(caller, "disconnect")["disconnected"] is False


def test_disconnecting_waits_a_moment_for_the_service_and_the_worker_goes_on(
    connected: Connection, fake: Fake, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "PATIENCE", 0.2)
    fake.revocation_trouble = "hang"
    assert manage(caller, "disconnect")["disconnected"] is True
    assert (fake.revoked, Connection.objects.count(), Leftover.objects.count()) == ([], 0, 1)
    fake.revocation_trouble = ""
    async_to_sync(keeping.give_back)()
    assert (len(fake.revoked), Leftover.objects.count()) == (2, 0)


def test_removing_a_server_gives_back_what_people_signed_in_with(connected: Connection, fake: Fake, desk: McpServer, owner: User) -> None:
    mcp_servers.revoke(desk)
    assert mcp.tools_for(owner.pk, ACCOUNT) == []
    async_to_sync(keeping.give_back)()
    assert len(fake.revoked) == 2
    assert not Connection.objects.exists()


def test_closing_an_account_gives_its_tokens_back_and_waits_for_nobody(
    connected: Connection, fake: Fake, desk: McpServer, owner: User, stranger: User, client_of: ClientOf, caller: Caller
) -> None:
    other = credentials.keep_tokens(stranger.pk, ACCOUNT, "mcp/elsewhere", None, Tokens("at-other", "rt-other"))
    held = {*fake.access, *fake.refresh}
    assert client_of(owner).post("/settings/data/close/", {"confirmation": PASSWORD}).status_code == 302
    assert fake.revoked == [], "whoever closes it waits for no service"
    assert not User.objects.filter(pk=owner.pk).exists()
    assert list(Connection.objects.all()) == [other]
    assert not any(secret in str(list(Leftover.objects.values())) for secret in (*held, "client-s3cret-value", owner.email, str(owner.pk)))
    async_to_sync(keeping.give_back)()
    assert set(fake.revoked) == held
    assert not Leftover.objects.exists()


@pytest.mark.parametrize(("trouble", "tries"), [("500", 1), ("400", 1), ("gone", 3)])
def test_a_service_that_takes_nothing_back_is_told_once_and_one_that_is_away_for_an_hour(
    connected: Connection, fake: Fake, owner: User, trouble: str, tries: int
) -> None:
    close_account(owner)
    fake.revocation_trouble = trouble
    for _ in range(tries):
        assert Leftover.objects.count() == 1
        async_to_sync(keeping.give_back)()
    Leftover.objects.update(created_at=timezone.now() - timedelta(minutes=61))
    async_to_sync(keeping.give_back)()
    assert not Leftover.objects.exists()
    assert fake.revoked == []


def test_what_was_set_aside_is_sealed_anew_with_the_rest_and_is_forgotten_when_its_key_is(
    connected: Connection, fake: Fake, owner: User, settings: Settings
) -> None:
    close_account(owner)
    call_command("rotate_secrets")
    settings.FIELD_ENCRYPTION_KEYS = ["another"]
    async_to_sync(keeping.give_back)()
    assert (fake.revoked, Leftover.objects.count()) == ([], 0)


def test_connections_of_one_holder_are_of_no_use_to_another(desk: McpServer, fake: Fake, owner: User, client_of: ClientOf) -> None:
    anna, bert, other_key = of_key(owner, "admin", "anna"), of_key(owner, "admin", "bert"), of_key(owner)
    address = manage(anna, "connect")["connect_url"]
    assert sign_in(Client(), fake, address).status_code == 200  # an app's end user has no account here
    assert manage(anna, "status")["connected"] is True
    tool = next(iter(mcp.tools_for(owner.pk, "end_user:anna")))
    for who in (bert, other_key, of_key(owner, end_user_id="anna"), of_key(owner, "admin")):
        assert manage(who, "status")["connected"] is False
        with pytest.raises(ToolError):
            async_to_sync(mcp.call)(tool, {}, who)
    assert mcp.tools_for(owner.pk, "end_user:bert") == mcp.tools_for(owner.pk, ACCOUNT) == []


def test_what_a_revoked_key_connected_is_given_back(desk: McpServer, fake: Fake, owner: User) -> None:
    app = of_key(owner, end_user_id="anna")
    assert sign_in(Client(), fake, manage(app, "connect")["connect_url"]).status_code == 200
    keys.revoke(ApiKey.objects.get(pk=str(app.key_id)))
    async_to_sync(keeping.give_back)()
    assert not Connection.objects.exists()
    assert len(fake.revoked) == 2


def test_erasing_an_end_user_ends_what_they_connected_and_nobody_elses(desk: McpServer, fake: Fake, owner: User) -> None:
    anna, bert = of_key(owner, "admin", "anna"), of_key(owner, "admin", "bert")
    by_key = of_key(owner, end_user_id="anna")
    for who in (anna, bert, by_key):
        assert sign_in(Client(), fake, manage(who, "connect")["connect_url"]).status_code == 200
    other = ApiKey.objects.get(pk=str(of_key(owner).key_id))
    delete_end_user(other, "anna")  # a standard key erases only what is its own
    assert manage(anna, "status")["connected"] is True
    delete_end_user(ApiKey.objects.get(pk=str(bert.key_id)), "anna")
    assert [manage(who, "status")["connected"] for who in (anna, bert, by_key)] == [False, True, False]
    async_to_sync(keeping.give_back)()
    assert Connection.objects.get().holder == "end_user:bert"
    assert len(fake.revoked) == 4


@pytest.fixture
def vendor(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """A vendor of the catalogue that takes a pasted token."""
    fields = (Field("token", "API key", True, "Settings"),)
    made = Entry("acme", "Acme", "Test", "Acme's things.", fake.mcp, "https://acme.example.com", "", {"X-Key": "{token}"}, fields)
    fake.headers = {"X-Key": "right-canary-key"}
    monkeypatch.setattr(mcp_catalog, "entries", lambda: {"acme": made})
    return made


def test_pasted_credentials_are_tried_before_they_are_kept(
    vendor: Entry, fake: Fake, owner: User, caller: Caller, client_of: ClientOf
) -> None:
    assert [found.name for found in mcp.findable(owner.pk, ACCOUNT)] == ["qlaud-mcp/acme"]
    path = urlsplit(manage(caller, "connect", "qlaud-mcp/acme")["connect_url"]).path
    browser = client_of(owner)
    page = browser.get(path)
    assert b'type="password"' in page.content
    assert b"Sign in to" not in page.content
    wrong = settled(browser.post(path, {"token": "wrong-canary"}))
    assert b"Acme did not accept this." in wrong.content
    assert b"wrong-canary" not in wrong.content
    assert not Connection.objects.exists()
    assert b"Acme is connected" in settled(browser.post(path, {"token": "right-canary-key"})).content
    assert settled(browser.post(path, {"token": "right-canary-key"})).status_code == 404
    assert {tool.name for tool in mcp.tools_for(owner.pk, ACCOUNT)} == {"acme/search", "acme/create_issue", "acme/book"}


def test_an_app_can_hand_over_credentials_itself(vendor: Entry, owner: User) -> None:
    app = of_key(owner)
    assert manage(app, "connect", "acme", {"token": "right-canary-key"}) == {"tool": "acme", "status": "connected", "connected": True}
    for given in ({"token": ""}, {}, {"token": "x", "more": 1}, {"token": "a\r\nb"}):
        with pytest.raises(ToolError) as refused:
            manage(app, "connect", "acme", given)
        assert refused.value.kind == "invalid"


def test_starting_and_ending_from_the_settings_is_for_the_persons_own_chats(
    desk: McpServer, fake: Fake, owner: User, stranger: User, client_of: ClientOf
) -> None:
    browser = client_of(owner)
    address = browser.post("/connect/start", {"tool": "desk/create_issue"}).headers["location"]
    assert sign_in(browser, fake, address).status_code == 200
    assert client_of(stranger).post("/connect/start", {"tool": "qlaud-mcp/desk"}).status_code == 404
    assert client_of(stranger).post("/connect/end", {"tool": "qlaud-mcp/desk"}).status_code == 404
    ended = settled(browser.post("/connect/end", {"tool": "qlaud-mcp/desk", "next": "https://evil.example.com/"}))
    assert ended.headers["location"] == "/settings/"
    assert not Connection.objects.exists()


def test_a_server_that_wants_no_sign_in_says_so(fake: Fake, settings: Settings) -> None:
    with pytest.raises(OAuthError, match="does not ask"):
        async_to_sync(oauth_sites.discover)(fake.mcp)


def test_secrets_sealed_by_a_dropped_key_ask_to_connect_again(connected: Connection, caller: Caller, settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = ["another"]
    with pytest.raises(ToolError) as refused:
        async_to_sync(tokens.revealed)(Connection.objects.select_related("server").get(), "qlaud-mcp/desk")
    assert refused.value.kind == "not_connected"
