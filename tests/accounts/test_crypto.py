import base64
import hashlib

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pytest_django import Settings

from chatai.lib.crypto import UnsealError, is_current, seal, unseal


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


@pytest.mark.parametrize("spoiled", ["", "v1.", "v1.AAAA", "plain text", "v2.", "v2.AAAA", "é", "v1." + "A" * 80])
def test_what_was_not_sealed_here_is_refused(spoiled: str) -> None:
    with pytest.raises(UnsealError):
        unseal(spoiled, "test")


def test_a_seal_holds_for_one_purpose_only() -> None:
    with pytest.raises(UnsealError):
        unseal(seal("secret", "one"), "another")


def test_each_purpose_has_a_key_of_its_own_and_what_was_sealed_before_that_still_opens() -> None:
    key, nonce = hashlib.sha256(b"first").digest(), b"0" * 12
    old = "v1." + base64.urlsafe_b64encode(nonce + AESGCM(key).encrypt(nonce, b"secret", b"test")).decode()
    assert unseal(old, "test") == "secret"
    new = base64.urlsafe_b64decode(seal("secret", "test").removeprefix("v2."))[4:]
    with pytest.raises(InvalidTag):
        AESGCM(key).decrypt(new[:12], new[12:], b"test")


def test_it_is_known_what_a_rotation_still_has_to_seal_again(settings: Settings) -> None:
    sealed = seal("secret", "test")
    assert is_current(sealed)
    settings.FIELD_ENCRYPTION_KEYS = ["second", "first"]
    assert not is_current(sealed)
    assert is_current(seal(unseal(sealed, "test"), "test"))
