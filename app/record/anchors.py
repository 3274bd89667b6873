"""Heads: the newest event of each workflow, exported for safe keeping where our owner cannot write.

A file of them is sorted by workflow, as text and as ids: it can be read beside the database.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Head:
    """A workflow's newest event when heads were exported; `at` in microseconds since 1970."""

    workflow: UUID
    seq: int
    hash: str
    at: int | None

    def line(self) -> str:
        """The head as a line of JSON; lines sorted as text are sorted by workflow."""
        shown = {"workflow": str(self.workflow), "seq": self.seq, "hash": self.hash, "at": self.at}
        return json.dumps(shown)


class HeadInvalid(ValueError):
    """A line that is no exported head, or out of order; the message says which and why."""


def read_heads(lines: Iterable[str], only: UUID | None = None) -> Iterator[Head]:
    """Heads out of exported lines, of one workflow or all; raises HeadInvalid while it is read.

    They must come in the order of their workflows, as `heads` gives them and `sort` makes it.
    """
    before = UUID(int=0)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        head = _head(number, line)
        if head.workflow < before:
            raise HeadInvalid(f"line {number} is out of order; sort the file first")
        before = head.workflow
        if only is None or head.workflow == only:
            yield head


def _head(number: int, line: str) -> Head:
    try:
        found = json.loads(line)
        head = Head(UUID(found["workflow"]), int(found["seq"]), str(found["hash"]), None)
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise HeadInvalid(f"line {number} is no exported head") from err
    if head.seq < 1:
        raise HeadInvalid(f"line {number} names event {head.seq}")
    return head


@dataclass
class Beside:
    """Exported heads beside the workflows, both in order: only the next one is held."""

    given: Iterable[Head]
    _next: Head | None = field(default=None, init=False)
    _is_read: bool = field(default=False, init=False)

    def until(self, workflow: UUID) -> Iterator[Head]:
        """The heads of workflows up to this one."""
        if not self._is_read:
            self.given = iter(self.given)
            self._next, self._is_read = next(self.given, None), True
        while self._next is not None and self._next.workflow <= workflow:
            yield self._next
            assert isinstance(self.given, Iterator)
            self._next = next(self.given, None)
