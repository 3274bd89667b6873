"""Brings events and the waits of steps together.

An event and a wait each commit, and then look for the other in a new transaction, so that neither
misses the other. An event wakes every wait whose filter it fulfils, each in a transaction of its
own; a wait takes one event. What is not finished at once is left to the reconciler.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from uuid import UUID

import structlog

from app import db
from app.db import AWAY
from app.errors import Unavailable
from app.payload import clean, dumps
from app.platform import Json
from app.protocol.claims import republish_seconds
from app.telemetry import WOKEN
from chains.admission import publish
from chains.incoming.events import FIELDS, Stored
from chains.incoming.failures import logged
from chains.incoming.rules import FILTER_WORK, MOST_VALUE
from chains.language import expressions
from chains.language.evaluation import Meter
from chains.language.event_filters import NO_KEY, keys_of
from chains.language.event_patterns import patterns, types_of
from chains.language.expressions import ExpressionInvalid

log = structlog.get_logger()

BATCH = 500
"""The most waits, or events, that are read at once."""
SWEPT = 200
"""The most events, or waits, that the reconciler takes at once."""
LOOK_WORK = 100_000
"""Units of work of filters for one event, or one wait, at once: about as many microseconds."""
LOOK_SECONDS = 0.5
"""Time for the pages of waits that are read for one event at once."""
_LOOK_EVENTS = 50
_FIRST = UUID(int=0)
_LONGEST_REASON = 500


@dataclass(frozen=True)
class Waiter:
    """An open wait. `is_looked`: it has looked for the events that were stored before it."""

    id: UUID
    event_type: str
    filter: str | None
    given: Json
    is_looked: bool


@dataclass
class Look:
    """Which waits an event ends, as far as was looked. `after`: where to go on; None: no more.

    `failed`: the first wait that could not be woken, in this look or in one before it. `raised`:
    how often a wait's filter failed, and why it did last, until it is stored (see _note).
    """

    found: list[Waiter]
    after: UUID | None
    work: int = 0
    failed: UUID | None = None
    raised: dict[UUID, tuple[int, str]] = field(default_factory=dict)


def look_for_waits(event: Stored, work: int, after: UUID = _FIRST) -> Look:
    """The waits whose filters the event fulfils, from the wait `after` on, until so much work was
    done. If the time is over too, no further page is read."""
    look, until = Look([], after), time.monotonic() + LOOK_SECONDS
    types, keys = list(patterns(event.type)), keys_of(event.scope["event"])
    mine = None if keys is None else [NO_KEY, *keys]
    while look.after is not None and look.work < work:
        rows = db.hot(
            "waits_for_event_v1", "uuid, timestamptz, text[], integer[], uuid, integer",
            (event.user_id, event.received_at, types, mine, look.after, BATCH),
        )  # fmt: skip
        for row in rows:
            waiter = Waiter(**row)
            if _takes(waiter, event, look):
                look.found.append(waiter)
            look.after = waiter.id
            if look.work >= work:
                break
        else:
            if len(rows) < BATCH:
                look.after = None
        _note(look)
        if time.monotonic() >= until:
            break
    return look


def _takes(waiter: Waiter, event: Stored, spent: Look) -> bool:
    """Whether the event fulfils the filter. A filter that fails does not, and is noted."""
    if waiter.filter is None:
        spent.work += 1
        return True
    meter = Meter(MOST_VALUE, FILTER_WORK)
    try:
        return expressions.holds(waiter.filter, {**waiter.given, **event.scope}, meter)
    except ExpressionInvalid as err:
        times, _ = spent.raised.get(waiter.id, (0, ""))
        spent.raised[waiter.id] = times + 1, clean(str(err))[:_LONGEST_REASON]
        return False
    finally:
        spent.work += FILTER_WORK - meter.work_left


def _note(look: Look) -> None:
    """Store which filters have failed, in one statement: there may be thousands."""
    if look.raised:
        times, reasons = zip(*look.raised.values(), strict=True)
        db.row(_RAISED, (list(look.raised), list(times), list(reasons)))
        look.raised.clear()


# Nothing is lost with it but a count, so its commit is not flushed. All lock rows in one order.
_RAISED = """
WITH not_flushed AS (SELECT set_config('synchronous_commit', 'off', true)),
locked AS (
  SELECT v.id, g.times, g.reason
    FROM not_flushed, unnest(%s::uuid[], %s::integer[], %s::text[]) AS g (id, times, reason)
    JOIN event_waits AS v ON v.id = g.id
   ORDER BY v.id FOR NO KEY UPDATE OF v)
UPDATE event_waits AS w SET raised = raised + l.times, reason = l.reason
  FROM locked AS l WHERE w.id = l.id
"""


def wake(event: Stored, look: Look, until: float) -> bool:
    """Wake the steps of the waits that were found, and return whether all waits were looked at.

    At the time `until` (time.monotonic) the rest is left to the reconciler, and so is what was not
    looked at. If a wait could not be woken, the event stays due, with all waits from that on.
    """
    last = len(look.found) - 1
    for number, waiter in enumerate(look.found):
        if time.monotonic() >= until:
            if look.failed is None:
                _leave(event, _before(waiter.id))
            return False
        ends = look.after is None and number == last and look.failed is None
        try:
            _wake(waiter, event, ends=ends)
        except (*AWAY, Unavailable):
            raise
        except Exception as err:  # it delays no others, and is due again later
            look.failed = look.failed or waiter.id
            log.error("incoming.wake_failed", wait=str(waiter.id), exc_info=err)
    if look.failed is None and look.after is not None:
        _leave(event, look.after)
    elif look.failed is None and not look.found:
        db.row(_ENDS, (event.id,))
    return look.after is None


def _before(wait_id: UUID) -> UUID:
    return UUID(int=wait_id.int - 1)


def _leave(event: Stored, after: UUID) -> None:
    db.row(_LEAVES, (after, event.id))


_LEAVES = (
    "UPDATE incoming_events SET wakes_at = clock_timestamp(), wakes_from = %s, failures = 0"
    " WHERE id = %s"
)
_ENDS = "UPDATE incoming_events SET wakes_at = NULL, wakes_from = NULL WHERE id = %s"


def _wake(waiter: Waiter, event: Stored, *, ends: bool) -> None:
    # An earlier event may be stored, and the wait's own look has not ended. So it is done here. It
    # may have passed the place of this event, which was committed later than it was received.
    if waiter.is_looked or look_for_events(waiter.id) or _is_passed(waiter, event):
        _give(waiter.id, event, ends=ends)
    elif ends:
        db.row(_ENDS, (event.id,))


def _is_passed(waiter: Waiter, event: Stored) -> bool:
    return db.call(_PASSED, (waiter.id, event.received_at, event.id)) is not None


_PASSED = "SELECT FROM event_waits WHERE id = %s AND (looked_to, looked_to_id) >= (%s, %s)"


def _give(wait_id: UUID, event: Stored, *, ends: bool = False) -> bool:
    """Give an event to a wait and publish its step; return whether the wait took it."""
    given = (wait_id, event.id, dumps(event.scope["event"]), ends, republish_seconds())
    (row,) = db.hot("wake_by_event_v1", "uuid, uuid, jsonb, boolean, float8", given)
    if row["verdict"] == "over":
        return False
    WOKEN.inc()
    if row["verdict"] == "woken":
        publish(row["workflow_id"], [row["step_key"]])
    return True


def look_at_once(external_id: str) -> None:
    """Look for a stored event for a wait that was just committed.

    Failures are logged, not raised: the reconciler looks again.
    """
    with logged("incoming.not_looked", external_id=external_id):
        _look(db.call(f"{_OPEN} AND external_id = %s", (external_id,)))


def look_for_events(wait_id: UUID) -> bool:
    """Give a wait the earliest event in its window that fulfils its filter, if one is stored.

    Return whether all were looked at. If not, the reconciler goes on where this has ended.
    """
    return _look(db.call(f"{_OPEN} AND id = %s", (wait_id,)))


def _look(row: Json | None) -> bool:
    if row is None:
        return True
    wait_id = row["id"]
    waiter = Waiter(wait_id, row["event_type"], row["filter"], row["given"], False)
    first, last_type = types_of(waiter.event_type)
    at, last, spent = row["looked_to"] or _BEGINNING, row["looked_to_id"] or _FIRST, Look([], None)
    while True:
        page = (wait_id, first, last_type, _LOOK_EVENTS, at, last)
        rows = db.hot("events_for_wait_v1", _EVENTS, page)
        for each in rows:
            event = Stored(**{name: each[name] for name in FIELDS})
            if _takes(waiter, event, spent):
                _note(spent)
                # If the wait does not take it, its time is over. Then it is not looked at: its
                # step looks for the last time (look_for_the_last_time).
                _give(wait_id, event)
                return True
            at, last = event.received_at, event.id
            if spent.work >= LOOK_WORK:
                _note(spent)
                db.row(_LOOKED_TO, (at, last, wait_id))
                return False
        _note(spent)
        if not rows:
            return True


_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_ANY = "SELECT id, event_type, filter, given, looked_at, looked_to, looked_to_id FROM event_waits"
_OPEN = f"{_ANY} WHERE event_id IS NULL"
_LOOKED_TO = (
    "UPDATE event_waits SET looked_to = %s, looked_to_id = %s, look_after = clock_timestamp(),"
    " failures = 0 WHERE id = %s AND looked_at IS NULL"
)


def look_for_the_last_time(external_id: str, until: datetime) -> Json | None:
    """End a wait whose time was over at `until`, and return what it has of its event, or None.

    An event that was received in time may not have been brought to the wait: whoever stored it has
    died, or has not come to it yet.
    """
    row = db.call(f"{_ANY} WHERE external_id = %s", (external_id,))
    if row is None:
        return None
    waiter = Waiter(row["id"], row["event_type"], row["filter"], row["given"], False)
    at, last = row["looked_to"] or _BEGINNING, row["looked_to_id"] or _FIRST
    spent = Look([], None)
    stored = () if row["looked_at"] else _events("events_for_wait_v1", waiter, at, last)
    for event in chain(stored, _events("events_to_bring_v1", waiter, _BEGINNING, _FIRST)):
        if _takes(waiter, event, spent):
            _note(spent)
            taken = _end(waiter, event, until)
            if taken is not None:
                return taken
    return _end(waiter, None, until)


def _events(function: str, waiter: Waiter, at: datetime, last: UUID) -> Iterator[Stored]:
    types = types_of(waiter.event_type)
    while True:
        rows = db.hot(function, _EVENTS, (waiter.id, *types, _LOOK_EVENTS, at, last))
        for each in rows:
            yield Stored(**{name: each[name] for name in FIELDS})
        if not rows:
            return
        at, last = rows[-1]["received_at"], rows[-1]["id"]


_EVENTS = "uuid, text, text, integer, timestamptz, uuid"


def _end(waiter: Waiter, event: Stored | None, until: datetime) -> Json | None:
    facts = (None, None) if event is None else (event.id, dumps(event.scope["event"]))
    row = db.call("SELECT end_wait_v1(%s, %s, %s, %s) AS taken", (waiter.id, *facts, until))
    taken: Json | None = None if row is None else row["taken"]
    return taken


def sweep_events(until: float, read: Callable[[UUID], Stored | None]) -> int:
    """Look for the waits of events that nobody has come to in time; how many events were due."""
    due = db.rows("SELECT * FROM take_waking_v1(%s)", (SWEPT,))
    for row in due:
        with logged("incoming.not_woken", event_id=str(row["id"])):
            event = read(row["id"])
            if event is not None:
                _sweep_event(event, row["wakes_from"] or _FIRST, until)
    return len(due)


def _sweep_event(event: Stored, after: UUID, until: float) -> None:
    failed: UUID | None = None
    is_done = False
    while not is_done and time.monotonic() < until:
        look = look_for_waits(event, LOOK_WORK, after)
        look.failed = failed
        is_done, after, failed = wake(event, look, until), look.after or after, look.failed
    if failed is not None and not is_done:
        _leave(event, _before(failed))


def sweep_waits(until: float) -> int:
    """Look for events for the waits that nobody has come to in time; how many were due."""
    due = db.rows("SELECT take_unlooked_v1(%s) AS id", (SWEPT,))
    for row in due:
        with logged("incoming.not_looked", wait=str(row["id"])):
            while time.monotonic() < until and not look_for_events(row["id"]):
                pass
    return len(due)
