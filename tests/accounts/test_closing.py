import uuid
from collections.abc import Callable

import pytest
from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import User
from tests.conftest import PASSWORD
from threads.models import Message, Thread, ToolCall, Turn, TurnEvent

Clients = Callable[[User], Client]


def furnish(user: User) -> set[str]:
    """Something of the user in every table that can hold it; returns what would give them away."""
    address, _ = EmailAddress.objects.get_or_create(user=user, email=user.email, defaults={"primary": True})
    EmailConfirmation.create(address)
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": "x"})
    account = SocialAccount.objects.create(user=user, provider="google", uid=f"google-{user.email}")
    app = SocialApp.objects.create(provider="google", name="g", client_id="x")
    SocialToken.objects.create(account=account, app=app, token="t")
    key, _ = keys.mint(user, f"key of {user.email}")
    thread = Thread.objects.create(user=user, key=key, title=f"about {user.email}")
    turn = Turn.objects.create(thread=thread, key=key, number=1, request_id="r", request_digest=b"d", model="demo", status="done", ring=1)
    thread.active_turn = turn
    thread.save()
    message = Message.objects.create(thread=thread, turn=turn, seq=1, role="user", content=[{"type": "text", "text": user.email}])
    ToolCall.objects.create(turn=turn, tool_use_id="u", name="n", arguments={})
    TurnEvent.objects.create(ring=1, turn=turn, index=0, epoch=1, payload=user.email, created_at=timezone.now())
    for thing in (user, key):
        kind = ContentType.objects.get_for_model(thing)
        LogEntry.objects.create(user=user, content_type=kind, object_id=str(thing.pk), object_repr=str(thing), action_flag=CHANGE)
    return {str(user.pk), user.email, *(str(one.pk) for one in (key, thread, turn, message))}


def traces(of: set[str]) -> list[str]:
    """Every column of every table that still holds one of these."""
    found: list[str] = []
    for model in apps.get_models():
        columns = [field.attname for field in model._meta.concrete_fields]
        for row in model._base_manager.values_list(*columns):
            found += [
                f"{model._meta.label}.{name}" for name, value in zip(columns, row, strict=True) if any(one in str(value) for one in of)
            ]
    for session in Session.objects.all():
        found += ["session" for value in session.get_decoded().values() if str(value) in of]
    return found


def test_closing_leaves_no_trace_anywhere_and_touches_nobody_else(owner: User, stranger: User, sign_in: Callable[..., Client]) -> None:
    there, client = sign_in(owner.email, PASSWORD), sign_in(owner.email, PASSWORD)
    theirs = sign_in(stranger.email, PASSWORD)
    _, secret = keys.mint(owner, "app")
    mine = furnish(owner)
    assert len(set(traces(mine))) > 20, "the test must see what it looks for"
    of_stranger = sorted(traces({str(stranger.pk), stranger.email}))
    response = client.post("/settings/data/close/", {"confirmation": PASSWORD}, follow=True)
    assert "Your account is closed" in response.content.decode()
    assert traces(mine) == []
    assert keys.authenticate(secret) is None
    assert [browser.get("/settings/profile/").status_code for browser in (there, client)] == [302, 302]
    assert theirs.get("/settings/profile/").status_code == 200
    assert sorted(traces({str(stranger.pk), stranger.email})) == of_stranger
    assert UserSession.objects.filter(user=stranger).exists()


def test_the_sockets_of_every_session_are_told(
    transactional_db: None, owner: User, sign_in: Callable[..., Client], hints_sent: list[tuple[str, ...]]
) -> None:
    browsers = [sign_in(owner.email, PASSWORD) for _ in range(2)]
    open_sessions = {browser.cookies["sessionid"].value for browser in browsers}
    browsers[0].post("/settings/data/close/", {"confirmation": PASSWORD})
    assert open_sessions <= {key for hint in hints_sent for key in hint}


@pytest.mark.parametrize("typed", ["", "wrong", "owner@example.com"])
def test_without_the_password_nothing_happens(owner: User, client_of: Clients, typed: str) -> None:
    response = client_of(owner).post("/settings/data/close/", {"confirmation": typed})
    assert response.status_code == 400
    assert User.objects.filter(pk=owner.pk).exists()


def test_guessing_the_password_here_is_stopped(owner: User, client_of: Clients) -> None:
    client = client_of(owner)
    for _ in range(10):
        client.post("/settings/data/close/", {"confirmation": "wrong"})
    assert "Too many attempts" in client.post("/settings/data/close/", {"confirmation": PASSWORD}).content.decode()
    assert User.objects.filter(pk=owner.pk).exists()


def test_whoever_has_no_password_types_the_address(owner: User, client_of: Clients) -> None:
    owner.set_unusable_password()
    owner.save()
    client = client_of(owner)
    assert client.post("/settings/data/close/", {"confirmation": "other@example.com"}).status_code == 400
    assert client.post("/settings/data/close/", {"confirmation": "Owner@example.com "}).status_code == 302
    assert not User.objects.filter(pk=owner.pk).exists()


def test_an_address_whose_account_was_closed_can_sign_up_again(owner: User, client_of: Clients, client: Client) -> None:
    client_of(owner).post("/settings/data/close/", {"confirmation": PASSWORD})
    client.post("/accounts/signup/", {"email": owner.email, "password1": PASSWORD})
    assert User.objects.get(email=owner.email).pk not in {owner.pk, uuid.UUID(int=0)}
