"""Which tools fit an intent: by words, and by meaning where there is something that knows meanings."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import logging
import math
import re
from array import array
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Set
from operator import mul

from tools.values import Found

logger = logging.getLogger(__name__)

Embed = Callable[[list[str]], Awaitable[Sequence[Sequence[float]]]]  # one vector per text, all of one length and of length 1

WORD = re.compile(r"[a-z0-9]+")
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
EMPTY = frozenset(
    WORD.findall(
        "a an and are as at be by can do for from has have i in into is it its me my of on or please so that the this to use want was "
        "what when which will with you your"
    )
)
ENDINGS = (
    "ations",
    "ation",
    "ators",
    "ator",
    "ating",
    "ated",
    "ates",
    "ate",
    "ments",
    "ment",
    "ings",
    "ing",
    "ies",
    "ers",
    "er",
    "ed",
    "es",
    "s",
    "e",
)
LEAST_STEM = 4  # letters
SATURATION, LENGTH = 1.2, 0.6  # BM25's k1 and b
NAME_WEIGHT = 3
PARTIAL = 0.4  # what a word counts that only contains the wanted one ("mail" in "email")
LEAST_PARTIAL = 4  # letters
FUSION = 60  # reciprocal rank fusion's k
CANDIDATES = 50
EMBED_SECONDS = 0.25  # to wait for the vector of an intent; without it words alone decide
MOST_VECTORS = 20_000
BATCH = 64

_embed: Embed | None = None
_vectors: OrderedDict[bytes, tuple[int, array[float]]] = OrderedDict()
_learner: asyncio.Task[None] | None = None


def set_embedder(embed: Embed | None) -> None:
    """Search by meaning too, with `embed`. It may be slow or fail: an intent waits for it for a quarter of a second."""
    global _embed, _learner
    _embed, _learner = embed, None
    _vectors.clear()


class Index:
    """Words of a set of tools, ready to be searched."""

    def __init__(self, found: Sequence[Found]) -> None:
        self.found = list(found)
        texts = [f"{one.name}: {one.description}" for one in self.found]
        self._keys = [_key(text) for text in texts]
        self.texts = dict(zip(self._keys, texts, strict=True))
        counted = [_counted(one) for one in self.found]
        lengths = [sum(counts.values()) for counts in counted]
        mean = sum(lengths) / (len(lengths) or 1) or 1.0
        spread = Counter(word for counts in counted for word in counts)
        self._postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, (counts, length) in enumerate(zip(counted, lengths, strict=True)):
            damping = SATURATION * (1 - LENGTH + LENGTH * length / mean)
            for word, count in counts.items():
                rarity = math.log(1 + (len(counted) - spread[word] + 0.5) / (spread[word] + 0.5))
                self._postings[word].append((number, rarity * count * (SATURATION + 1) / (count + damping)))

        self._vocabulary = "".join(f"{word}\n" for word in self._postings)

    def by_words(self, intent: str, most: int = CANDIDATES) -> list[int]:
        """Numbers of tools, the best first (BM25); those that share no word with the intent are left out."""
        scores: dict[int, float] = defaultdict(float)
        for word in dict.fromkeys(words(intent)):
            for known, weight in self._known(word):
                for number, score in self._postings[known]:
                    scores[number] += weight * score
        return heapq.nsmallest(most, scores, key=lambda number: (-scores[number], self.found[number].name))

    def _known(self, word: str) -> Iterator[tuple[str, float]]:
        """The word itself, and at less weight those it is a part of or begins with."""
        if word in self._postings:
            yield word, 1.0
        if len(word) < LEAST_PARTIAL:
            return
        for length in range(LEAST_PARTIAL, len(word)):
            if word[:length] in self._postings:
                yield word[:length], PARTIAL
        at = self._vocabulary.find(word)
        while at >= 0:  # in one long text: looking at each word of it took most of a search's time
            start, end = self._vocabulary.rfind("\n", 0, at) + 1, self._vocabulary.index("\n", at)
            if self._vocabulary[start:end] != word:
                yield self._vocabulary[start:end], PARTIAL
            at = self._vocabulary.find(word, end)

    def by_meaning(self, vector: Sequence[float], most: int = CANDIDATES) -> list[int]:
        """The same by vectors: the signs choose candidates, the numbers their order. Tools not embedded yet are left out."""
        known = [(number, entry) for number, key in enumerate(self._keys) if (entry := _vectors.get(key))]
        signs = _signs(vector)
        known.sort(key=lambda pair: (pair[1][0] ^ signs).bit_count())
        exact = [(-sum(map(mul, vector, entry[1])), number) for number, entry in known[:most]]
        return [number for _, number in sorted(exact)]


async def search(index: Index, intent: str, limit: int, without: Set[str] = frozenset()) -> list[Found]:
    """The tools that fit best, but not those of these names."""
    most = CANDIDATES + len(without)
    ranks = [index.by_words(intent, most)]
    if _embed is not None:
        vector = await _vector_of(intent, _embed)
        if vector:
            ranks.append(index.by_meaning(vector, most))
        _learn(index.texts, _embed)
    found = [index.found[number] for number in _fused(ranks)]
    return [one for one in found if one.name not in without][:limit]


def _fused(ranks: Iterable[list[int]]) -> list[int]:
    scores: dict[int, float] = defaultdict(float)
    for rank in ranks:
        for place, number in enumerate(rank):
            scores[number] += 1 / (FUSION + place)
    return sorted(scores, key=lambda number: -scores[number])


async def _vector_of(intent: str, embed: Embed) -> Sequence[float] | None:
    try:
        async with asyncio.timeout(EMBED_SECONDS):
            return (await embed([intent]))[0]
    except Exception as error:  # whatever the embedder is made of: words find tools too
        logger.warning("tools are searched by words only: %s", type(error).__name__)
        return None


def _learn(texts: Mapping[bytes, str], embed: Embed) -> None:
    """Embed, behind the search that noticed, what has no vector yet."""
    global _learner
    missing = {key: text for key, text in texts.items() if key not in _vectors}
    if missing and (_learner is None or _learner.done()):
        _learner = asyncio.get_running_loop().create_task(_embed_all(missing, embed))


async def _embed_all(texts: Mapping[bytes, str], embed: Embed) -> None:
    try:
        keys = list(texts)[:MOST_VECTORS]
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            for key, vector in zip(batch, await embed([texts[key] for key in batch]), strict=True):
                _vectors[key] = _signs(vector), array("f", vector)
        while len(_vectors) > MOST_VECTORS:
            _vectors.popitem(last=False)
    except Exception as error:  # as above; the next search tries again
        logger.warning("descriptions of tools are not embedded: %s", type(error).__name__)


def _counted(found: Found) -> Counter[str]:
    counts = Counter(words(found.description))
    for word in words(found.name):
        counts[word] += NAME_WEIGHT
    return counts


def words(text: str) -> list[str]:
    """Lower-case stems of the words that say something."""
    return [_stem(word) for word in WORD.findall(CAMEL.sub(" ", text).lower()) if word not in EMPTY]


def _stem(word: str) -> str:
    """So that calculate, calculation and calculator are one word; roughly, and the same for tools and intents."""
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= LEAST_STEM and not word.endswith("ss"):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def _signs(vector: Sequence[float]) -> int:
    return sum(1 << place for place, number in enumerate(vector) if number > 0)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).digest()
