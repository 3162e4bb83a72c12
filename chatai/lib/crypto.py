"""Secrets at rest: AES-256-GCM under the first of FIELD_ENCRYPTION_KEYS; the others still open what they sealed.

To rotate, put a new key in front and keep the old ones for as long as something sealed by them remains.
"""

import base64
import binascii
import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

MARK = "v1."
NONCE = 12  # bytes, NIST SP 800-38D


class UnsealError(Exception):
    """Sealed by a key that is not configured, for another purpose, or changed since."""


def seal(text: str, purpose: str) -> str:
    """Only `unseal` with the same purpose gives the text back."""
    nonce = os.urandom(NONCE)
    sealed = _ciphers()[0].encrypt(nonce, text.encode(), purpose.encode())
    return MARK + base64.urlsafe_b64encode(nonce + sealed).decode()


def unseal(sealed: str, purpose: str) -> str:
    """Raises UnsealError."""
    try:
        raw = base64.urlsafe_b64decode(sealed.removeprefix(MARK))
    except binascii.Error:
        raise UnsealError(purpose) from None
    for cipher in _ciphers():
        try:
            return cipher.decrypt(raw[:NONCE], raw[NONCE:], purpose.encode()).decode()
        except (InvalidTag, ValueError):  # ValueError: too short to be sealed at all
            continue
    raise UnsealError(purpose)


def _ciphers() -> list[AESGCM]:
    # Any long random text does as a key; a laptop without one uses the secret key (a check refuses that in production).
    return [AESGCM(hashlib.sha256(key.encode()).digest()) for key in settings.FIELD_ENCRYPTION_KEYS or [settings.SECRET_KEY]]
