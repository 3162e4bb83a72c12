"""A model for tests: texts that share words have vectors that are close."""

import hashlib
import math
import re

from search.embedder import written
from search.models import DIMENSIONS


def toy_numbers(text: str) -> list[float]:
    """Each word is a direction of its own."""
    numbers = [0.0] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()) or ["nothing"]:
        digest = hashlib.sha256(word.encode()).digest()
        numbers[int.from_bytes(digest[:4]) % DIMENSIONS] += 1.0
    return numbers


def toy_vector(text: str) -> str:
    numbers = toy_numbers(text)
    length = math.hypot(*numbers)
    return written([number / length for number in numbers])
