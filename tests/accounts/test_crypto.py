import pytest
from pytest_django import Settings

from chatai.lib.crypto import UnsealError, seal, unseal


@pytest.fixture(autouse=True)
def keys(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = ["first"]


def test_what_was_sealed_comes_back_and_never_looks_the_same_twice() -> None:
    once, again = seal("sécret", "test"), seal("sécret", "test")
    assert once != again
    assert unseal(once, "test") == unseal(again, "test") == "sécret"


def test_an_old_key_still_opens_and_a_dropped_one_does_not(settings: Settings) -> None:
    sealed = seal("secret", "test")
    settings.FIELD_ENCRYPTION_KEYS = ["second", "first"]
    assert unseal(sealed, "test") == "secret"
    settings.FIELD_ENCRYPTION_KEYS = ["second"]
    with pytest.raises(UnsealError):
        unseal(sealed, "test")


@pytest.mark.parametrize("spoiled", ["", "v1.", "v1.AAAA", "plain text", "v1." + "A" * 80])
def test_what_was_not_sealed_here_is_refused(spoiled: str) -> None:
    with pytest.raises(UnsealError):
        unseal(spoiled, "test")


def test_a_seal_holds_for_one_purpose_only() -> None:
    with pytest.raises(UnsealError):
        unseal(seal("secret", "one"), "another")
