import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django import DjangoAssertNumQueries

from accounts import keys
from accounts.models import ApiKey, User


def test_a_secret_authenticates_and_only_its_digest_and_ends_are_kept(owner: User) -> None:
    key, secret = keys.mint(owner, "laptop", max_spend_micros=5)
    assert secret.startswith("qlk_live_")
    assert len(secret) == 9 + 64
    assert key.prefix == f"{secret[:13]}…{secret[-4:]}"
    assert secret not in str(ApiKey.objects.filter(pk=key.pk).values())
    found = keys.authenticate(secret)
    assert found == key
    assert found is not None
    assert found.last_used_at is not None


@pytest.mark.parametrize("presented", ["", "qlk_live_", "qlk_live_" + "0" * 64, "Bearer x", "\ud800", "ß" * 5000])
def test_anything_else_is_nobody(db: None, presented: str) -> None:
    assert keys.authenticate(presented) is None


def test_authenticating_costs_one_query_whether_the_key_exists_or_not(
    owner: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    _, secret = keys.mint(owner, "laptop")
    for _ in range(2):
        keys.authenticate(secret)  # the first use of a minute is noted, and that is read once
    for presented in (secret, secret[:-1] + "x", ""):
        with django_assert_num_queries(1):
            keys.authenticate(presented)


def test_a_change_of_the_key_or_its_user_is_seen_at_once(owner: User) -> None:
    key, secret = keys.mint(owner, "laptop")
    for _ in range(3):
        assert keys.authenticate(secret) == key
    # As another process would: past everything that this one could be told.
    ApiKey.objects.filter(pk=key.pk).update(scope="admin")
    changed = keys.authenticate(secret)
    assert changed is not None
    assert changed.scope == "admin"
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert keys.authenticate(secret) is None


def test_a_revoked_key_and_a_key_of_an_inactive_user_are_refused(owner: User) -> None:
    key, secret = keys.mint(owner, "laptop")
    keys.revoke(key)
    assert keys.authenticate(secret) is None
    _, other = keys.mint(owner, "phone")
    owner.is_active = False
    owner.save()
    assert keys.authenticate(other) is None


def test_every_new_user_has_one_capped_personal_key(owner: User) -> None:
    key = keys.personal_key(owner)
    assert key is not None
    assert (key.personal, key.max_spend_micros) == (True, 5_000_000)
    owner.save()
    assert owner.api_keys.count() == 1


def test_an_operator_has_no_cap(db: None) -> None:
    key = keys.personal_key(User.objects.create_superuser("root@example.com", "correct horse battery"))
    assert key is not None
    assert key.max_spend_micros is None


def test_a_revoked_personal_key_is_not_minted_again_behind_the_operators_back(owner: User) -> None:
    key = keys.personal_key(owner)
    assert key is not None
    keys.revoke(key)
    assert keys.personal_key(owner) is None


def mint(*arguments: str) -> dict[str, str]:
    out = StringIO()
    call_command("mint_key", *arguments, stdout=out)
    (line,) = out.getvalue().splitlines()
    made: dict[str, str] = json.loads(line)
    return made


def test_mint_key_makes_the_user_without_a_password_and_prints_one_line(db: None) -> None:
    made = mint("--email", "App@Example.com", "--name", "server", "--scope", "admin", "--max-spend-usd", "2.50")
    key = keys.authenticate(made["secret"])
    assert key is not None
    assert (str(key.pk), key.name, key.scope, key.max_spend_micros) == (made["id"], "server", "admin", 2_500_000)
    assert key.user.email == "app@example.com"
    assert not key.user.has_usable_password()


def test_mint_key_finds_an_existing_user_and_caps_nothing_unless_told(owner: User) -> None:
    key = keys.authenticate(mint("--email", owner.email.upper(), "--name", "server")["secret"])
    assert key is not None
    assert (key.user, key.scope, key.max_spend_micros) == (owner, "standard", None)


@pytest.mark.parametrize("cap", ["-1", "lots", "NaN", "inf"])
def test_mint_key_refuses_a_cap_that_makes_no_sense(db: None, cap: str) -> None:
    with pytest.raises(CommandError):
        mint("--email", "app@example.com", "--name", "server", f"--max-spend-usd={cap}")
    assert not User.objects.exists()
