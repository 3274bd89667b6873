"""Verifies the record: computes each workflow's chain of hashes again from the stored text.

The hashes are computed here, because the database is not trusted to check itself. Memory is
bounded: workflows are read in spans, each span in one snapshot, and rows through a server-side
cursor.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from app import db
from app.archive.connecting import snapshot
from app.archive.verification import Archive
from app.chain import Chain, Fault, Head, number
from app.record.anchors import ExportedHeads

SPAN = 500
"""The number of workflows in one snapshot. A longer snapshot would hold up vacuum."""
FETCH = 2000
_LAST = UUID(int=2**128 - 1)


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
    only: UUID | None = None,
    heads: Iterable[Head] = (),
    tally: Tally | None = None,
    manifests: Mapping[int, str] | None = None,
) -> Iterator[Fault]:
    """Yield the faults in the record of one workflow or of all, also of those that are archived.

    The record is also compared with `heads`, exported heads in the order of their workflows, and
    then with `manifests`, the hashes of exported manifests by their numbers. `tally` is updated
    while the record is read.
    """
    tally = Tally() if tally is None else tally
    exported = ExportedHeads(heads)
    with snapshot() as other:
        archive = Archive(other)
        with db.snapshots(application="playalter-events") as connection:
            for span in spans(connection, only):
                yield from _verify_span(connection, span, exported, tally, archive)
        for head in exported.until(_LAST if only is None else only):
            yield from archive.confirm(head)
        yield from archive.verify(only, manifests or {})
        tally.workflows += archive.workflows
        tally.events += archive.events


def _verify_span(
    connection: Any, span: Span, exported: ExportedHeads, tally: Tally, archive: Archive
) -> Iterator[Fault]:
    known = iter(span.ids)
    waiting = next(known, None)
    read = rows(connection, "events", EVENTS, span)
    for workflow, events in groupby(read, key=itemgetter(0)):
        while waiting is not None and waiting < workflow:
            yield from _verify_one(waiting, (), exported, tally, archive)
            waiting = next(known, None)
        if waiting == workflow:
            waiting = next(known, None)
        else:
            yield Fault(workflow, None, "the workflow has events, but its row is missing")
        yield from _verify_one(workflow, events, exported, tally, archive)
    while waiting is not None:
        yield from _verify_one(waiting, (), exported, tally, archive)
        waiting = next(known, None)


def _verify_one(
    workflow: UUID,
    events: Iterable[tuple[Any, ...]],
    exported: ExportedHeads,
    tally: Tally,
    archive: Archive,
) -> Iterator[Fault]:
    for head in exported.until(UUID(int=workflow.int - 1)):
        yield from archive.confirm(head)
    chain = Chain(workflow, list(exported.until(workflow)))
    for _, seq, body, digest in events:
        chain.add(seq, body, bytes(digest))
        tally.events += 1
    tally.workflows += 1
    yield from chain.end()


def heads(only: UUID | None = None) -> Iterator[Head]:
    """Yield the newest event of every workflow, also if it is archived, in the order of the ids."""
    with db.snapshots(application="playalter-events") as connection:
        for span in spans(connection, only):
            live = rows(connection, "heads", _HEADS, span)
            archived = rows(connection, "archived_heads", _ARCHIVED_HEADS, span)
            for workflow, seq, digest, body in merge(live, archived, key=itemgetter(0)):
                yield Head(workflow, seq, bytes(digest).hex(), body and number(body, "at"))


_HEADS = """
SELECT w.id, e.seq, e.hash, e.body FROM workflows w CROSS JOIN LATERAL (
  SELECT seq, hash, body FROM events WHERE workflow_id = w.id ORDER BY seq DESC LIMIT 1) AS e
 WHERE w.id > %s AND w.id <= %s ORDER BY w.id
"""
_ARCHIVED_HEADS = """
SELECT workflow_id, head_seq, head_hash, NULL FROM archived
 WHERE workflow_id > %s AND workflow_id <= %s AND state <> 'restored' ORDER BY workflow_id
"""
