"""Verifies the record: computes each workflow's chain of hashes again from the stored text.

The hashes are computed here, because the database is not trusted to check itself. Memory is
bounded: workflows are read in spans, each span in one snapshot, and rows through a server-side
cursor.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from app import db
from app.record.anchors import ExportedHeads, Head

SPAN = 500
"""The number of workflows in one snapshot. A longer snapshot would hold up vacuum."""
FETCH = 2000
MAX_FAULTS = 20
"""The number of faults that are listed for one workflow. Further faults are only counted."""

_LAST = UUID(int=2**128 - 1)
_CANDIDATES = 6


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in a workflow's record. `seq` is the number of the faulty event, or None if the
    fault is not in a single event."""

    workflow: UUID
    seq: int | None
    wrong: str


@dataclass
class Tally:
    """Counts what has been read so far."""

    workflows: int = 0
    events: int = 0
    gone: int = 0
    """Payloads that are no longer in their rows. Only their hashes are left, in events."""


@dataclass(frozen=True)
class Span:
    """A range of workflow ids, from `after` (excluded) to `last` (included). `ids` are those that
    have a row."""

    after: UUID
    last: UUID
    ids: tuple[UUID, ...]


def spans(connection: Any, only: UUID | None, size: int = SPAN) -> Iterator[Span]:
    """Yield all workflows in spans, ordered by id, or the one workflow `only`.

    A span is read in one snapshot. The snapshot ends when the next span is asked for.
    """
    if only is not None:
        with connection:
            found = _ids(connection, UUID(int=max(only.int - 1, 0)), 1)
            yield Span(UUID(int=max(only.int - 1, 0)), only, tuple(i for i in found if i == only))
        return
    after, is_last = UUID(int=0), False
    while not is_last:
        with connection:
            ids = _ids(connection, after, size)
            is_last = len(ids) < size
            # The spans cover all possible ids, so that the events of a deleted workflow are found.
            span = Span(after, _LAST if is_last else ids[-1], ids)
            yield span
        after = span.last


def _ids(connection: Any, after: UUID, size: int) -> tuple[UUID, ...]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM workflows WHERE id > %s ORDER BY id LIMIT %s", (after, size))
        return tuple(row[0] for row in cursor)


def rows(connection: Any, name: str, sql: str, span: Span) -> Iterator[tuple[Any, ...]]:
    """Yield a span's rows from a server-side cursor called `name`. The parameters of `sql` are
    `after` and `last`."""
    with closing(connection.cursor(name=name)) as cursor:
        cursor.itersize = FETCH
        cursor.execute(sql, (span.after, span.last))
        yield from cursor


EVENTS = (
    "SELECT workflow_id, seq, body, hash FROM events"
    " WHERE workflow_id > %s AND workflow_id <= %s ORDER BY workflow_id, seq"
)


def verify(
    only: UUID | None = None, heads: Iterable[Head] = (), tally: Tally | None = None
) -> Iterator[Fault]:
    """Yield the faults in the record of one workflow or of all.

    The record is also compared with `heads`, exported heads in the order of their workflows.
    `tally` is updated while the record is read.
    """
    tally = Tally() if tally is None else tally
    exported = ExportedHeads(heads)
    with db.snapshots(application="playalter-events") as connection:
        for span in spans(connection, only):
            yield from _verify_span(connection, span, exported, tally)
    for head in exported.until(_LAST if only is None else only):
        yield _gone(head)


def _verify_span(
    connection: Any, span: Span, exported: ExportedHeads, tally: Tally
) -> Iterator[Fault]:
    known = iter(span.ids)
    waiting = next(known, None)
    read = rows(connection, "events", EVENTS, span)
    for workflow, events in groupby(read, key=itemgetter(0)):
        while waiting is not None and waiting < workflow:
            yield from _verify_one(waiting, (), exported, tally)
            waiting = next(known, None)
        if waiting == workflow:
            waiting = next(known, None)
        else:
            yield Fault(workflow, None, "the workflow has events, but its row is missing")
        yield from _verify_one(workflow, events, exported, tally)
    while waiting is not None:
        yield from _verify_one(waiting, (), exported, tally)
        waiting = next(known, None)


def _verify_one(
    workflow: UUID, events: Iterable[tuple[Any, ...]], exported: ExportedHeads, tally: Tally
) -> Iterator[Fault]:
    for head in exported.until(UUID(int=workflow.int - 1)):
        yield _gone(head)
    chain = Chain(workflow, list(exported.until(workflow)))
    for _, seq, body, digest in events:
        chain.add(seq, body, bytes(digest))
        tally.events += 1
    tally.workflows += 1
    yield from chain.end()


def _gone(head: Head) -> Fault:
    wrong = f"the workflow and all its events are missing; event {head.seq} was exported as head"
    return Fault(head.workflow, None, wrong)


class Chain:
    """Checks one workflow's events, which are added in the order of their numbers. Pure."""

    def __init__(self, workflow: UUID, heads: Iterable[Head] = ()) -> None:
        self.workflow = workflow
        self.heads = sorted(heads, key=lambda head: head.seq)
        self.seq = 0
        self.faults: list[Fault] = []
        self.left_out = 0
        # The hashes that the next event may follow. After a fault there are several, so that one
        # wrong row is reported as one fault and not as a fault of each later event. None means
        # that the hash is not known, because events are missing.
        self._previous: list[bytes] | None = [hashlib.sha256(workflow.bytes).digest()]

    def add(self, seq: int, body: str, digest: bytes) -> None:
        """Check the next event against the chain so far."""
        if seq != self.seq + 1:
            self._note_gap(seq)
        text = body.encode()
        previous = self._previous
        if (
            previous is None
            or _follows(previous[:1], text, digest)
            or (_number(body, "seq") == seq and _follows(previous[1:], text, digest))
        ):
            self._previous = [digest]
        else:
            self._note(seq, _wrong(seq, body))
            computed = hashlib.sha256(previous[0] + text).digest()
            self._previous = [digest, computed, *previous][:_CANDIDATES]
        self.seq = seq
        self._compare_heads(seq, digest)

    def end(self) -> list[Fault]:
        """Check the end of the chain, and return all faults of the workflow."""
        if self.seq == 0 and not self.heads:
            self._note(None, "the workflow has no events")
        for head in self.heads[-1:]:
            if self.seq == 0:
                self._note(None, f"all events are missing; event {head.seq} was exported as head")
            else:
                self._note(
                    head.seq,
                    f"missing: the record ends at event {self.seq}, but event {head.seq} was"
                    " exported as head",
                )
        if self.left_out:
            wrong = f"{self.left_out} more faults are not listed"
            self.faults.append(Fault(self.workflow, None, wrong))
        return self.faults

    def _note_gap(self, seq: int) -> None:
        first, last = self.seq + 1, seq - 1
        if last < first:
            self._note(seq, f"the number of the event is below {first}")
        elif first == last:
            self._note(first, "missing" if first > 1 else "missing: the first event")
        else:
            self._note(first, f"missing, with all events up to event {last}")
        self._previous = None

    def _compare_heads(self, seq: int, digest: bytes) -> None:
        while self.heads and self.heads[0].seq <= seq:
            head = self.heads.pop(0)
            if head.seq == seq and head.hash != digest.hex():
                now = digest.hex()
                self._note(seq, f"changed: its hash is {now}, but {head.hash} was exported")

    def _note(self, seq: int | None, wrong: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(self.workflow, seq, wrong))
        else:
            self.left_out += 1


def _follows(previous: list[bytes], text: bytes, digest: bytes) -> bool:
    return any(hashlib.sha256(each + text).digest() == digest for each in previous)


def _wrong(seq: int, body: str) -> str:
    stated = _number(body, "seq")
    if stated is not None and stated != seq:
        return f"reordered: its text is that of event {stated}"
    return "changed: its hash does not match its text and the hash before it"


def _number(body: str, name: str) -> int | None:
    """The integer `name` in an event's text, or None if there is none or the text is damaged."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, int) else None


def heads(only: UUID | None = None) -> Iterator[Head]:
    """Yield the newest event of every workflow, in the order of the workflow ids."""
    with db.snapshots(application="playalter-events") as connection:
        for span in spans(connection, only):
            for workflow, seq, digest, body in rows(connection, "heads", _HEADS, span):
                yield Head(workflow, seq, bytes(digest).hex(), _number(body, "at"))


_HEADS = """
SELECT w.id, e.seq, e.hash, e.body FROM workflows w CROSS JOIN LATERAL (
  SELECT seq, hash, body FROM events WHERE workflow_id = w.id ORDER BY seq DESC LIMIT 1) AS e
 WHERE w.id > %s AND w.id <= %s ORDER BY w.id
"""
