"""Which workflows' events are announced to this process, and the last event that was.

Pure, and guarded by the lock of its user (web/watching.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

MOST = 32
"""Of these workflows. Transactions that announce events wait for one another, so a process with
more streams polls for the others."""


@dataclass
class _Entry:
    renews_at: float
    ends_at: float
    seq: int = 0


class Announced:
    """The workflows that this process watches. `now` is the time.monotonic()."""

    def __init__(self, seconds: float, most: int) -> None:
        """`seconds`: how long PostgreSQL announces the events of a workflow that is watched."""
        self._seconds, self._most = seconds, most
        self._entries: dict[UUID, _Entry] = {}

    def covers(self, workflow: UUID, now: float) -> bool:
        """Whether each further event of the workflow is announced."""
        entry = self._entries.get(workflow)
        return entry is not None and now < entry.renews_at

    def last(self, workflow: UUID) -> int:
        """The number of the last event of the workflow that was announced; 0 if none was."""
        entry = self._entries.get(workflow)
        return 0 if entry is None else entry.seq

    def hear(self, events: Mapping[UUID, int]) -> None:
        """Note announced events."""
        for workflow, seq in events.items():
            entry = self._entries.get(workflow)
            if entry is not None:
                entry.seq = max(entry.seq, seq)

    def missing(self, workflows: Iterable[UUID], now: float) -> set[UUID]:
        """Those of the workflows that must be watched now, anew or again, as far as there is room.

        Others of which no stream has waited for a while are no longer counted.
        """
        asked = {each for each in workflows if not self.covers(each, now)}
        if not asked:
            return asked
        self._entries = {id: entry for id, entry in self._entries.items() if now < entry.ends_at}
        again = {each for each in asked if each in self._entries}
        room = max(0, self._most - len(self._entries))
        return again | set(sorted(asked - again)[:room])

    def add(self, workflows: Iterable[UUID], now: float) -> None:
        """Note that these workflows are watched since `now`, or again."""
        for workflow in workflows:
            entry = self._entries.setdefault(workflow, _Entry(0.0, 0.0))
            entry.renews_at, entry.ends_at = now + self._seconds / 2, now + self._seconds

    def end(self, workflow: UUID) -> None:
        """Forget a workflow that has ended."""
        self._entries.pop(workflow, None)

    def clear(self) -> None:
        """Forget all: the connection was lost, and perhaps what PostgreSQL knew."""
        self._entries.clear()
