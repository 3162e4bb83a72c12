"""The labelled set: questions in other words, and for each the one message that answers it. See pairs/, one file a topic."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import UUID

from accounts.models import User
from search import choice, embedding, generations, index
from threads.models import Message, Thread, Turn

PAIRS = Path(__file__).parent / "pairs"
THREAD = 4  # messages of each conversation


@dataclass(frozen=True)
class Labelled:
    """A message; without questions it is there to be mistaken for another one."""

    topic: str
    role: str
    text: str
    asked: tuple[str, ...]
    phrases: tuple[str, ...]  # of its very words


@cache
def messages() -> tuple[Labelled, ...]:
    return tuple(
        Labelled(path.stem, row.get("role", "user"), row["text"], tuple(row.get("asked", ())), tuple(row.get("phrases", ())))
        for path in sorted(PAIRS.glob("*.toml"))
        for row in tomllib.loads(path.read_text())["message"]
    )


def store(owner: User) -> dict[Labelled, UUID]:
    """All of them as conversations of `owner`, indexed with words and, by the real model, with vectors; the id of each."""
    generations.ensure()
    labelled = messages()
    threads, turns, said = [], [], []
    for start in range(0, len(labelled), THREAD):
        some = labelled[start : start + THREAD]
        threads.append(Thread(user=owner, title=some[0].topic, turn_count=len(some), last_seq=len(some), model="demo"))
        for seq, one in enumerate(some, 1):
            turn = Turn(thread=threads[-1], number=seq, request_id=str(seq), request_digest=b"", model="demo", status="done")
            content = [{"type": "text", "text": one.text}]
            turns.append(turn)
            said.append(Message(thread=threads[-1], turn=turn, seq=seq, role=one.role, content=content, model="demo"))
    Thread.objects.bulk_create(threads)
    Turn.objects.bulk_create(turns)
    Message.objects.bulk_create(said)
    index.index_turns(turn.pk for turn in turns)
    while embedding.embed_due(choice.configured()):
        pass
    return {one: message.pk for one, message in zip(labelled, said, strict=True)}
