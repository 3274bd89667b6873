"""Exported heads. The head of a workflow is its newest event.

The owner of the database can rewrite all events. If heads are kept where the owner cannot write, a
comparison with them shows it. A file of heads is sorted by workflow id, so that one pass over the
database is enough.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from app.chain import Head


class HeadInvalid(ValueError):
    """A line is not an exported head, or is out of order. The message says which line, and why."""


def manifest_line(number: int, hash: str, at: int) -> str:
    """The newest manifest of the archive as a line of an export. Sorted as text, it is first."""
    return json.dumps({"manifest": number, "hash": hash, "at": at})


def read_heads(
    lines: Iterable[str], only: UUID | None = None, manifests: dict[int, str] | None = None
) -> Iterator[Head]:
    """Read heads (the newest hash of each workflow) of one workflow or of all from exported lines.

    The lines must be in the order of their workflow ids, in which `heads` yields them; the Unix
    command `sort` restores that order. The iterator raises HeadInvalid at the first line that is
    malformed or out of order. The hashes of exported manifests are put into `manifests`.
    """
    before = UUID(int=0)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        head = _head(number, line, {} if manifests is None else manifests)
        if head is None:
            continue
        if head.workflow < before:
            raise HeadInvalid(f"line {number} is out of order; sort the file first")
        before = head.workflow
        if only is None or head.workflow == only:
            yield head


def _head(number: int, line: str, manifests: dict[int, str]) -> Head | None:
    try:
        found = json.loads(line)
        if "manifest" in found:
            manifests[int(found["manifest"])] = str(found["hash"])
            return None
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
