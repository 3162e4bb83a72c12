"""Embeddings at OpenAI and at every server that speaks them, through the official SDK."""

from __future__ import annotations

from urllib.parse import urlsplit

from openai import APIConnectionError, APIError, APIStatusError, OpenAI

from threads.providers.base import ProviderError
from threads.providers.openai import NEWER_HOSTS

SECONDS = 20.0  # for one call
PASSING = {408, 409, 429}  # besides the server's own faults


class Embeddings:
    """One model of one server. Several threads may use it."""

    def __init__(self, base_url: str, key: str, model: str, dimensions: int) -> None:
        self.client = OpenAI(api_key=key or "none", base_url=base_url, max_retries=1, timeout=SECONDS)
        self.model = model
        self.dimensions = dimensions
        # Only these shorten vectors when asked to; others refuse to be asked.
        self.shortens = f".{urlsplit(base_url).hostname}".endswith(NEWER_HOSTS)

    def create(self, texts: list[str]) -> tuple[list[list[float]], int]:
        """The vectors in the order of `texts`, and the tokens they are charged by. Raises ProviderError."""
        wanted = {"dimensions": self.dimensions} if self.shortens else {}
        try:
            answer = self.client.embeddings.create(model=self.model, input=texts, encoding_format="float", **wanted)  # type: ignore[arg-type]
        except APIConnectionError as error:
            raise _failed("connection", True, type(error).__name__) from error
        except APIStatusError as error:
            raise _failed("invalid", error.status_code in PASSING or error.status_code >= 500, f"HTTP {error.status_code}") from error
        except (APIError, ValueError) as error:
            raise _failed("malformed", True, type(error).__name__) from error
        vectors = [one.embedding for one in sorted(answer.data, key=lambda one: one.index)]
        if [len(vector) for vector in vectors] != [self.dimensions] * len(texts):
            raise _failed("malformed", False, f"{len(texts)} vectors of {self.dimensions} numbers were asked for, others came")
        return vectors, answer.usage.prompt_tokens


def _failed(kind: str, retryable: bool, detail: str) -> ProviderError:
    return ProviderError(kind, "The embedding model cannot be reached.", retryable, detail=detail)  # type: ignore[arg-type]
