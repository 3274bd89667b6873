"""The record read back: each workflow's chain of hashes is computed again from the stored text.

Nothing here trusts the database to check itself, and memory is bounded whatever there is to read:
workflows come in spans, each span one snapshot of its own, and rows over a server-side cursor.
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
from app.record.anchors import Beside, Head

SPAN = 500
"""Workflows read in one snapshot: short enough to hold up no vacuum."""
FETCH = 2000
MAX_FAULTS = 20
"""Faults named of one workflow; more are counted only."""

_LAST = UUID(int=2**128 - 1)
_CANDIDATES = 6


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a workflow's record; `seq` is None where that is no one event."""

    workflow: UUID
    seq: int | None
    wrong: str


@dataclass
class Tally:
    """What has been read so far."""

    workflows: int = 0
    events: int = 0
    gone: int = 0
    """Payloads that events know and rows do not have any more."""


@dataclass(frozen=True)
class Span:
    """A run of workflow ids, (after, last], and those that have a row."""

    after: UUID
    last: UUID
    ids: tuple[UUID, ...]


def spans(connection: Any, only: UUID | None, size: int = SPAN) -> Iterator[Span]:
    """All workflows by id, or the one; the snapshot of a span ends when the next is asked for."""
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
            # Rows of a workflow that is gone are looked at with the span that they fall into.
            span = Span(after, _LAST if is_last else ids[-1], ids)
            yield span
        after = span.last


def _ids(connection: Any, after: UUID, size: int) -> tuple[UUID, ...]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM workflows WHERE id > %s ORDER BY id LIMIT %s", (after, size))
        return tuple(row[0] for row in cursor)


def rows(connection: Any, name: str, sql: str, span: Span) -> Iterator[tuple[Any, ...]]:
    """The rows of a span over a server-side cursor of this name; `sql` takes (after, last)."""
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
    """What is wrong in the record of one workflow or of all; `heads`, in the order of their
    workflows, are held against it. `tally` counts along."""
    tally = Tally() if tally is None else tally
    exported = Beside(heads)
    with db.snapshots(application="playalter-events") as connection:
        for span in spans(connection, only):
            yield from _verify_span(connection, span, exported, tally)
    for head in exported.until(_LAST if only is None else only):
        yield _gone(head)


def _verify_span(connection: Any, span: Span, exported: "Beside", tally: Tally) -> Iterator[Fault]:
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
            yield Fault(workflow, None, "the workflow's row is missing, its events are there")
        yield from _verify_one(workflow, events, exported, tally)
    while waiting is not None:
        yield from _verify_one(waiting, (), exported, tally)
        waiting = next(known, None)


def _verify_one(
    workflow: UUID, events: Iterable[tuple[Any, ...]], exported: "Beside", tally: Tally
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
    return Fault(head.workflow, None, f"all is missing; its head was exported at event {head.seq}")


class Chain:
    """One workflow's events, added in the order of their numbers. Pure."""

    def __init__(self, workflow: UUID, heads: Iterable[Head] = ()) -> None:
        self.workflow = workflow
        self.heads = sorted(heads, key=lambda head: head.seq)
        self.seq = 0
        self.faults: list[Fault] = []
        self.left_out = 0
        # What the next event may follow: more than one hash only behind a fault, so that one
        # wrong row is one fault and not the ruin of all that follow it. None: not known.
        self._previous: list[bytes] | None = [hashlib.sha256(workflow.bytes).digest()]

    def add(self, seq: int, body: str, digest: bytes) -> None:
        """Hold the next row against the chain so far."""
        if seq != self.seq + 1:
            self._note_gap(seq)
        text = body.encode()
        previous = self._previous
        if (
            previous is None
            or _follows(previous[:1], text, digest)
            or (_told(body, "seq") == seq and _follows(previous[1:], text, digest))
        ):
            self._previous = [digest]
        else:
            self._note(seq, _how(seq, body))
            computed = hashlib.sha256(previous[0] + text).digest()
            self._previous = [digest, computed, *previous][:_CANDIDATES]
        self.seq = seq
        self._compare_heads(seq, digest)

    def end(self) -> list[Fault]:
        """All that is wrong, now that there are no more rows."""
        if self.seq == 0 and not self.heads:
            self._note(None, "there is no event at all")
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
            wrong = f"and {self.left_out} faults more"
            self.faults.append(Fault(self.workflow, None, wrong))
        return self.faults

    def _note_gap(self, seq: int) -> None:
        first, last = self.seq + 1, seq - 1
        if last < first:
            wrong = f"a number below {first} stands here"
            self._note(seq, wrong)
        elif first == last:
            self._note(first, "missing" if first > 1 else "missing: the first event")
        else:
            self._note(first, f"missing, and all up to event {last}")
        self._previous = None

    def _compare_heads(self, seq: int, digest: bytes) -> None:
        while self.heads and self.heads[0].seq <= seq:
            head = self.heads.pop(0)
            if head.seq == seq and head.hash != digest.hex():
                self._note(seq, f"changed: its exported hash was {head.hash}, is {digest.hex()}")

    def _note(self, seq: int | None, wrong: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(self.workflow, seq, wrong))
        else:
            self.left_out += 1


def _follows(previous: list[bytes], text: bytes, digest: bytes) -> bool:
    return any(hashlib.sha256(each + text).digest() == digest for each in previous)


def _how(seq: int, body: str) -> str:
    told = _told(body, "seq")
    if told is not None and told != seq:
        return f"reordered: the text of event {told} stands here"
    return "changed: its text and its hash do not belong together"


def _told(body: str, name: str) -> int | None:
    """A number of the event's text, if that can be read."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, int) else None


def heads(only: UUID | None = None) -> Iterator[Head]:
    """Every workflow's newest event, in the order of workflows."""
    with db.snapshots(application="playalter-events") as connection:
        for span in spans(connection, only):
            for workflow, seq, digest, body in rows(connection, "heads", _HEADS, span):
                yield Head(workflow, seq, bytes(digest).hex(), _told(body, "at"))


_HEADS = """
SELECT w.id, e.seq, e.hash, e.body FROM workflows w CROSS JOIN LATERAL (
  SELECT seq, hash, body FROM events WHERE workflow_id = w.id ORDER BY seq DESC LIMIT 1) AS e
 WHERE w.id > %s AND w.id <= %s ORDER BY w.id
"""
