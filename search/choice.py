"""Which model the index is made with, and whether this installation can use it. Asked by processes that never load one."""

from __future__ import annotations

from importlib.util import find_spec
from urllib.parse import urlsplit

from django.conf import settings


def configured() -> str:
    """The model's name, and where it is when that is not here."""
    host = urlsplit(settings.EMBEDDING_BASE_URL).netloc
    return f"{settings.EMBEDDING_MODEL}@{host}" if host else settings.EMBEDDING_MODEL


def installed() -> bool:
    """Whether this installation can make vectors: of its own, or by asking an endpoint."""
    return bool(settings.EMBEDDING_BASE_URL) or find_spec("sentence_transformers") is not None
