import re
from collections.abc import Callable

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin as django_admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import keys
from accounts.models import ApiKey, User

PASSWORD = "correct horse battery"
SECRET = "TOTP-SECRET-NEVER-SHOWN"


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.com", PASSWORD)


@pytest.fixture
def admin(root: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(root)


@pytest.fixture
def staff(member: User, client_of: Callable[[User], Client]) -> Client:
    """Someone of the staff who may view and change users, no superuser."""
    member.is_staff = True
    member.save(update_fields=["is_staff"])
    member.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user", "delete_user", "view_apikey"]))
    return client_of(member)


def page(client: Client, name: str, *args: object, **query: str) -> str:
    response = client.get(reverse(f"admin:{name}", args=args), query)
    assert response.status_code == 200, response
    return str(response.content.decode())


def flags(**given: str) -> dict[str, str]:
    return {"is_active": "on", **given}


def test_the_admin_is_entered_through_the_products_own_sign_in(client: Client, db: None) -> None:
    for address in ("/admin/", "/admin/login/?next=/admin/threads/turn/"):
        response = client.get(address, follow=True)
        moved_to, status = response.redirect_chain[-1]
        assert (status, moved_to.split("?")[0]) == (302, reverse("account_login"))
    assert "next=%2Fadmin%2Fthreads%2Fturn%2F" in moved_to
    assert client.post("/admin/login/", {"username": "root@example.com", "password": PASSWORD}).status_code == 302
    assert "_auth_user_id" not in client.session


def test_strangers_are_refused(client_of: Callable[[User], Client], stranger: User, owner: User) -> None:
    for address in (reverse("admin:index"), reverse("admin:accounts_user_change", args=[owner.pk])):
        assert client_of(stranger).get(address, follow=True).status_code == 403


def test_a_user_is_added_with_address_and_password(admin: Client) -> None:
    form = {"email": "New@Example.com", "name": "New", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert "password1" in page(admin, "accounts_user_add")
    assert admin.post(reverse("admin:accounts_user_add"), form).status_code == 302
    user = User.objects.get(email="new@example.com")
    assert user.check_password(PASSWORD)
    assert keys.personal_key(user) is not None
    again = admin.post(reverse("admin:accounts_user_add"), form)
    assert again.status_code == 200
    assert b"already exists" in again.content


def test_people_are_found_by_address_and_id(admin: Client, owner: User, stranger: User) -> None:
    def found(term: object) -> set[str]:
        return set(re.findall(r"/admin/accounts/user/([0-9a-f-]{36})/change", page(admin, "accounts_user_changelist", q=str(term))))

    assert found("OWNER@") == found(owner.pk) == {str(owner.pk)}
    assert found("nobody") == found("%") == set()


def test_a_users_page_tells_how_they_sign_in_and_shows_no_secret(admin: Client, owner: User) -> None:
    Authenticator.objects.create(user=owner, type=Authenticator.Type.TOTP, data={"secret": SECRET})
    EmailAddress.objects.create(user=owner, email=owner.email, verified=True, primary=True)
    key = owner.api_keys.get()
    pages = page(admin, "accounts_user_change", owner.pk), page(admin, "accounts_apikey_change", key.pk)
    assert "password, TOTP Authenticator" in pages[0]
    assert "owner@example.com (verified)" in pages[0]
    assert key.prefix in pages[1]
    for html in (*pages, page(admin, "accounts_apikey_changelist"), page(admin, "accounts_user_changelist")):
        assert SECRET not in html
        assert owner.password not in html
        assert "pbkdf2" not in html
        assert key.digest.hex() not in html
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=)", html)


def test_pages_that_would_show_secrets_or_session_keys_do_not_exist(admin: Client) -> None:
    registered = {model.__name__ for model in django_admin.site._registry}
    assert not registered & {"Authenticator", "SocialToken", "SocialApp", "SocialAccount", "UserSession", "EmailAddress", "Session"}


def test_a_superuser_changes_flags_and_nothing_else(admin: Client, owner: User) -> None:
    form = flags(is_staff="on", email="other@example.com", name="Other", password="x")
    assert admin.post(reverse("admin:accounts_user_change", args=[owner.pk]), form).status_code == 302
    changed = User.objects.get(pk=owner.pk)
    assert (changed.is_staff, changed.email, changed.name) == (True, "owner@example.com", owner.name)
    assert changed.check_password(PASSWORD)
    assert "Changed" in page(admin, "accounts_user_history", owner.pk)


def test_staff_cannot_raise_anyone_or_touch_a_superuser(staff: Client, owner: User, root: User) -> None:
    assert staff.post(reverse("admin:accounts_user_change", args=[owner.pk]), flags(is_superuser="on", is_staff="on")).status_code == 302
    raised = User.objects.get(pk=owner.pk)
    assert (raised.is_staff, raised.is_superuser) == (False, False)
    assert staff.post(reverse("admin:accounts_user_change", args=[root.pk]), {}).status_code == 403
    new = {"usable_password": "true", "password1": "another password 1", "password2": "another password 1"}
    assert staff.post(reverse("admin:auth_user_password_change", args=[root.pk]), new).status_code == 403
    assert staff.post(reverse("admin:accounts_user_close", args=[root.pk])).status_code == 403
    assert User.objects.get(pk=root.pk).check_password(PASSWORD)


def test_an_account_is_closed_only_after_asking_and_the_closing_stays_on_record(admin: Client, owner: User, root: User) -> None:
    address = reverse("admin:accounts_user_close", args=[owner.pk])
    assert address in page(admin, "accounts_user_change", owner.pk)
    assert b"erases everything" in admin.get(address).content
    assert User.objects.filter(pk=owner.pk).exists()
    assert admin.post(address).status_code == 302
    assert not User.objects.filter(pk=owner.pk).exists()
    entry = LogEntry.objects.get(object_id=str(owner.pk))
    assert (entry.user, entry.object_repr) == (root, str(owner.pk))  # no name or address is kept
    assert admin.post(address).status_code == 302
    assert admin.post(reverse("admin:accounts_user_close", args=[root.pk])).status_code == 403  # not oneself
    assert admin.post(reverse("admin:accounts_user_delete", args=[root.pk]), {"post": "yes"}).status_code == 403


def test_a_key_is_revoked_by_an_action_and_cannot_be_changed(admin: Client, owner: User, staff: Client) -> None:
    key = keys.mint(owner, "App")[0]
    listed = reverse("admin:accounts_apikey_changelist")
    action = {"action": "revoke_selected", "_selected_action": [str(key.pk)]}
    staff.post(listed, action)
    assert ApiKey.objects.get(pk=key.pk).revoked_at is None  # may view keys only
    assert admin.post(listed, action).status_code == 302
    assert ApiKey.objects.get(pk=key.pk).revoked_at is not None
    assert f"Revoked key {key.pk}" in page(admin, "accounts_user_history", owner.pk)
    for name in ("change", "delete"):
        assert admin.post(reverse(f"admin:accounts_apikey_{name}", args=[key.pk]), {"post": "yes", "name": "x"}).status_code == 403
    assert admin.get(reverse("admin:accounts_apikey_add")).status_code == 403


@pytest.mark.parametrize("name", ["accounts_user", "accounts_apikey", "admin_logentry"])
def test_a_list_costs_the_same_few_statements_however_long_it_is(admin: Client, owner: User, root: User, name: str) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            page(admin, f"{name}_changelist")
        return len(queries)

    page(admin, f"{name}_changelist")
    before = cost()
    for number in range(5):
        other = User.objects.create(email=f"person{number}@example.com")
        admin.post(reverse("admin:accounts_user_change", args=[other.pk]), flags())
    assert cost() == before <= 7
