"""What hints have said since the last look."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(slots=True)
class News:
    rows: set[UUID] = field(default_factory=set)  # threads of which only what lists show has changed
    threads: set[UUID] = field(default_factory=set)  # threads of which anything may have changed
    turns: dict[UUID, UUID] = field(default_factory=dict)  # turn that started or ended → its thread
    events: set[UUID] = field(default_factory=set)  # turns whose journal went on
    sessions: bool = False

    def take(self, kind: str, ids: Iterable[str], followed: Collection[UUID]) -> None:
        """Journals matter of `followed` turns only."""
        match kind:
            case "rows":
                self.rows.update(map(UUID, ids))
            case "threads":
                self.threads.update(map(UUID, ids))
            case "turns":
                for pair in ids:
                    thread_id, _, turn_id = pair.partition("/")
                    self.turns[UUID(turn_id)] = UUID(thread_id)
                self.events.update(turn_id for turn_id in self.turns if turn_id in followed)
            case "events":
                self.events.update(turn_id for turn_id in map(UUID, ids) if turn_id in followed or turn_id in self.turns)
            case "sessions":
                self.sessions = True

    def __bool__(self) -> bool:
        return bool(self.rows or self.threads or self.turns or self.events or self.sessions)

    @property
    def changed_threads(self) -> set[UUID]:
        return self.rows | self.threads | set(self.turns.values())
