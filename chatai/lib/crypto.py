"""Secrets at rest: AES-256-GCM under the first of FIELD_ENCRYPTION_KEYS; the others still open what they sealed.

Every purpose has a key of its own, derived from the configured one (HKDF-SHA256, RFC 5869), so that what leaks of one says nothing
of another. To rotate, put a new key in front, run `manage.py rotate_secrets`, and drop the old one.
"""

import base64
import binascii
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

MARK = "v2."
OLD_MARK = "v1."  # one key for every purpose, which was only bound to the text
NONCE = 12  # bytes, NIST SP 800-38D
NAME = 4  # bytes in front that name the key, so that a rotation knows what it has done


class UnsealError(Exception):
    """Sealed by a key that is not configured, for another purpose, or changed since."""


def seal(text: str, purpose: str) -> str:
    """Only `unseal` with the same purpose gives the text back."""
    key, nonce = _keys()[0], os.urandom(NONCE)
    sealed = _cipher(key, purpose).encrypt(nonce, text.encode(), purpose.encode())
    return MARK + base64.urlsafe_b64encode(_name(key) + nonce + sealed).decode()


def unseal(sealed: str, purpose: str) -> str:
    """Raises UnsealError."""
    raw, old = _raw(sealed), sealed.startswith(OLD_MARK)
    body = raw if old else raw[NAME:]
    for key in _keys():
        if not old and _name(key) != raw[:NAME]:
            continue
        cipher = AESGCM(key) if old else _cipher(key, purpose)
        try:
            return cipher.decrypt(body[:NONCE], body[NONCE:], purpose.encode()).decode()
        except (InvalidTag, ValueError):  # ValueError: too short to be sealed at all
            continue
    raise UnsealError(purpose)


def is_current(sealed: str) -> bool:
    """Whether it was sealed the way `seal` does it now, under the first key."""
    return sealed.startswith(MARK) and _raw(sealed)[:NAME] == _name(_keys()[0])


def tags(data: bytes, purpose: str) -> list[bytes]:
    """HMAC-SHA256 of `data` under every configured key: the first is the one to keep, any of them proves it."""
    return [hmac.digest(_derived(key, purpose), data, "sha256") for key in _keys()]


def _raw(sealed: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(sealed.removeprefix(MARK).removeprefix(OLD_MARK))
    except (binascii.Error, ValueError):
        raise UnsealError("not sealed here") from None


def _keys() -> list[bytes]:
    # Any long random text does as a key; a laptop without one uses the secret key (a check refuses that in production).
    return [hashlib.sha256(key.encode()).digest() for key in settings.FIELD_ENCRYPTION_KEYS or [settings.SECRET_KEY]]


def _name(key: bytes) -> bytes:
    return hashlib.sha256(b"name of a key" + key).digest()[:NAME]


def _cipher(key: bytes, purpose: str) -> AESGCM:
    return AESGCM(_derived(key, purpose))


def _derived(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(key)
