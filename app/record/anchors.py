"""Exported heads. The head of a workflow is its newest event.

The owner of the database can rewrite all events. If heads are kept where the owner cannot write, a
comparison with them shows it. A file of heads is sorted by workflow id, so that one pass over the
database is enough.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Head:
    """A workflow's newest event at the time of the export; `at` is in microseconds since 1970."""

    workflow: UUID
    seq: int
    hash: str
    at: int | None

    def line(self) -> str:
        """The head as a line of JSON. Lines that are sorted as text are sorted by workflow id."""
        shown = {"workflow": str(self.workflow), "seq": self.seq, "hash": self.hash, "at": self.at}
        return json.dumps(shown)


class HeadInvalid(ValueError):
    """A line is not an exported head, or is out of order. The message says which line, and why."""


def read_heads(lines: Iterable[str], only: UUID | None = None) -> Iterator[Head]:
    """Read heads (the newest hash of each workflow) of one workflow or of all from exported lines.

    The lines must be in the order of their workflow ids, in which `heads` yields them; the Unix
    command `sort` restores that order. The iterator raises HeadInvalid at the first line that is
    malformed or out of order.
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
        raise HeadInvalid(f"line {number} is not an exported head") from err
    if head.seq < 1:
        message = f"line {number} is not an exported head: events count from 1, not {head.seq}"
        raise HeadInvalid(message)
    return head


@dataclass
class ExportedHeads:
    """Exported heads in the order of their workflows. Only the next head is held in memory."""

    heads: Iterable[Head]
    _next: Head | None = field(default=None, init=False)
    _is_begun: bool = field(default=False, init=False)

    def until(self, workflow: UUID) -> Iterator[Head]:
        """Yield the next heads, up to and including those of `workflow`."""
        if not self._is_begun:
            self.heads = iter(self.heads)
            self._next, self._is_begun = next(self.heads, None), True
        while self._next is not None and self._next.workflow <= workflow:
            yield self._next
            assert isinstance(self.heads, Iterator)
            self._next = next(self.heads, None)
