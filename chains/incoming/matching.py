"""Looks for the triggers of stored events, and starts the workflows of those that match.

Invariant: what the triggers say of an event is recorded once (decide_matches_v1), whoever asks them
at the same time; and a recorded match starts one workflow, whose idempotency key it holds.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from app import db
from app.db import AWAY
from app.errors import Unavailable
from app.telemetry import TRIGGERED
from chains.incoming import known, starts, waiting
from chains.incoming.events import FIELDS, Stored
from chains.incoming.failures import logged
from chains.incoming.rules import FILTER_WORK, MOST_VALUE, Trigger
from chains.incoming.starts import Match
from chains.language.evaluation import Meter
from chains.language.expressions import ExpressionInvalid

log = structlog.get_logger()

MOST_DEPTH = 10
"""An event to which so many events have led starts nothing."""
MOST_STARTS = 100
"""The most workflows that one event starts."""
PATIENCE_SECONDS = 5.0
"""Time that whoever stores an event has for it, before the reconciler handles it."""
AT_ONCE_WORK = 500_000
"""Units of work of filters, about as many microseconds, for the events of one request."""
AT_ONCE_SECONDS = 0.5
"""Time for the starts of one request."""
EVENT_WORK = 500_000
"""Units of work of all filters of one event."""
PASS_WORK = 500_000
"""Units of work of one user's filters in a pass of the reconciler."""
PASS_SECONDS = 1.0
BATCH = 200
_PAUSE_SECONDS = 1.0


def match_at_once(event_ids: Sequence[UUID]) -> None:
    """Match events that were just stored, as far as that is quickly done.

    The rest is left to the reconciler. Failures are logged, not raised: the events are stored.
    """
    with logged("incoming.left"):
        decided: list[Decided] = []
        work = 0
        events = _read(event_ids)
        for each in events:
            if work >= AT_ONCE_WORK:
                break
            decided.append(_decided(each))
            work += decided[-1].work
        _act(decided, time.monotonic() + AT_ONCE_SECONDS)
        _put_off([each.event.id for each in events[len(decided) :]], 0.0)


def sweep() -> None:
    """Match the events, and start the workflows, that nobody has come to in time."""
    until = time.monotonic() + PASS_SECONDS
    spent: Counter[UUID] = Counter()
    _while_full(until, lambda: _sweep_events(spent, until))
    _while_full(until, lambda: _sweep_pending(until))
    _while_full(until, lambda: waiting.sweep_waits(until))
    _while_full(until, lambda: waiting.sweep_events(until, _event))


def _while_full(until: float, sweep: Callable[[], int]) -> None:
    while time.monotonic() < until:
        if sweep() < BATCH:
            return


def _sweep_events(spent: Counter[UUID], until: float) -> int:
    due = db.rows("SELECT take_unmatched_v1(%s) AS id", (BATCH,))
    for row in due:
        # One by one: they may be large, and one that cannot be handled delays no others.
        with logged("incoming.not_matched", event_id=str(row["id"])):
            for each in _read([row["id"]]):
                user_id = each.event.user_id
                if spent[user_id] >= PASS_WORK:
                    _put_off([each.event.id], _PAUSE_SECONDS)
                    continue
                decided = _decided(each)
                spent[user_id] += decided.work
                _act([decided], until)
    return len(due)


def _sweep_pending(until: float) -> int:
    due = db.rows("SELECT * FROM take_pending_v1(%s)", (BATCH,))
    for row in due:
        with logged("incoming.not_started", event_id=str(row["event_id"])):
            match = _recorded(row["event_id"], row["trigger_id"])
            if match is not None:
                _start(match, until)
    return len(due)


@dataclass(frozen=True)
class Unmatched:
    """An event that is not matched yet, with the revision of its owner's triggers.

    `has_waits`: a step of its owner's waits for an event.
    """

    event: Stored
    revision: int | None
    has_waits: bool


_UNMATCHED = (
    f"SELECT {', '.join(f'e.{name}' for name in FIELDS)}, r.revision, EXISTS ("
    " SELECT FROM event_waits AS w WHERE w.user_id = e.user_id AND w.event_id IS NULL) AS has_waits"
    " FROM incoming_events AS e LEFT JOIN event_trigger_revisions AS r ON r.user_id = e.user_id"
    " WHERE e.id = ANY ($1) AND e.matched_at IS NULL ORDER BY e.id"
)


def _read(event_ids: Sequence[UUID]) -> list[Unmatched]:
    """Those of the events that are not matched yet."""
    if not event_ids:
        return []
    rows = db.hot("unmatched_events", "uuid[]", (list(event_ids),), query=_UNMATCHED)
    return [Unmatched(_stored(row), row["revision"], row["has_waits"]) for row in rows]


def _stored(row: Mapping[str, Any]) -> Stored:
    return Stored(**{name: row[name] for name in FIELDS})


def _event(event_id: UUID) -> Stored | None:
    row = db.row(f"SELECT {', '.join(FIELDS)} FROM incoming_events WHERE id = %s", (event_id,))
    return None if row is None else _stored(row)


@dataclass(frozen=True)
class Decided:
    """What the triggers say of an event, and which waits it ends; None: there are no such waits."""

    event: Stored
    matches: list[Match]
    look: waiting.Look | None
    work: int


def _decided(each: Unmatched) -> Decided:
    matches, work = _verdicts(each.event, each.revision)
    look = None
    if each.has_waits and each.event.depth < MOST_DEPTH:
        look = waiting.look_for_waits(each.event, waiting.LOOK_WORK)
        work += look.work
        if not look.found and look.after is None:
            look = None
    return Decided(each.event, matches, look, work)


def _act(decided: Sequence[Decided], until: float) -> None:
    """Record what was decided, then start and wake workflows. At the time `until`
    (time.monotonic) the rest is left to the reconciler."""
    pending, won = _record(decided)
    late = [each for each in pending if not _start(each, until)]
    starts.leave([(each.event.id, each.trigger.id) for each in late])
    for each in decided:
        if each.look is not None and each.event.id in won:
            waiting.wake(each.event, each.look, until)


def _verdicts(event: Stored, revision: int | None) -> tuple[list[Match], int]:
    """What the triggers say of an event, and the work that their filters took."""
    left = EVENT_WORK
    scope = event.scope
    found: list[Match] = []
    count = 0
    for trigger in known.triggers_of(event.user_id, revision).of(event.type):
        if left <= 0:
            found.append(Match(event, trigger, "raised", reason=_NO_WORK_LEFT))
            continue
        meter = Meter(MOST_VALUE, min(left, FILTER_WORK))
        given = meter.work_left
        match = _verdict(event, trigger, scope, meter, count)
        left -= given - meter.work_left
        if match is not None:
            found.append(match)
            count += match.outcome == "pending"
    return found, EVENT_WORK - left


_NO_WORK_LEFT = "other filters took all the work that the filters of one event may take together"


def _verdict(
    event: Stored, trigger: Trigger, scope: dict[str, object], meter: Meter, count: int
) -> Match | None:
    """What a trigger says, as the next after so many that start a workflow; None: not its event."""
    try:
        if not trigger.takes(scope, meter):
            return None
        key = trigger.start_key(event.id, scope, meter)
    except ExpressionInvalid as err:
        return Match(event, trigger, "raised", reason=str(err))
    if event.depth >= MOST_DEPTH:
        reason = f"a loop: {event.depth} events have led to this one, each by a workflow"
    elif count >= MOST_STARTS:
        reason = f"the event has started {MOST_STARTS} workflows, which is the most"
    else:
        return Match(event, trigger, "pending", key)
    log.error("incoming.stopped", event_id=str(event.id), trigger=str(trigger.id), reason=reason)
    return Match(event, trigger, "stopped", reason=reason)


def _record(decided: Sequence[Decided]) -> tuple[list[Match], set[UUID]]:
    """Record what was decided. Return the matches whose workflows are to start, and the events for
    which this has recorded it: another process may have done so for the others."""
    if not decided:
        return [], set()
    matches = [match for each in decided for match in each.matches]
    rows = db.hot(
        "decide_matches_v1",
        "uuid[], uuid[], uuid[], text[], text[], text[], uuid[], double precision",
        (
            [each.event.id for each in decided],
            [each.event.id for each in matches],
            [each.trigger.id for each in matches],
            [each.outcome for each in matches],
            [each.start_key for each in matches],
            [starts.cut(each.reason) for each in matches],
            [each.event.id for each in decided if each.look is not None],
            PATIENCE_SECONDS,
        ),
    )
    won = {row["decide_matches_v1"] for row in rows}
    recorded = [each for each in matches if each.event.id in won]
    for each in recorded:
        if each.outcome != "pending":
            TRIGGERED.labels(each.outcome).inc()
    return [each for each in recorded if each.outcome == "pending"], won


_PUT_OFF = (
    "UPDATE incoming_events SET match_after = clock_timestamp() + seconds(%s), failures = 0"
    " WHERE id = ANY (%s::uuid[]) AND matched_at IS NULL"
)


def _put_off(event_ids: list[UUID], seconds: float) -> None:
    if event_ids:
        db.row(_PUT_OFF, (seconds, event_ids))


def _start(match: Match, until: float) -> bool:
    """Start a workflow and record it; False if it is too late for that now.

    A start that fails is logged, delays no others, and is due again later. Raises what is raised
    while PostgreSQL is away.
    """
    if time.monotonic() >= until:
        return False
    try:
        outcome = starts.start(match)
        if outcome != "pending":
            TRIGGERED.labels(outcome).inc()
    except (*AWAY, Unavailable):
        raise
    except Exception as err:
        place = {"event_id": str(match.event.id), "trigger": str(match.trigger.id)}
        log.error("incoming.start_failed", exc_info=err, **place)
    return True


_RECORDED = (
    f"SELECT {', '.join(f'e.{name}' for name in FIELDS)}, m.start_key, t.deleted_at"
    " FROM trigger_matches AS m JOIN incoming_events AS e ON e.id = m.event_id"
    " JOIN event_triggers AS t ON t.id = m.trigger_id"
    " WHERE m.event_id = %s AND m.trigger_id = %s AND m.outcome = 'pending'"
)


def _recorded(event_id: UUID, trigger_id: UUID) -> Match | None:
    """A match that is pending, from its row; None if it is not. A deleted trigger ends it."""
    row = db.row(_RECORDED, (event_id, trigger_id))
    trigger = known.read_trigger(trigger_id)
    if row is None or trigger is None:
        return None
    match = Match(_stored(row), trigger, "pending", row["start_key"])
    if row["deleted_at"] is None:
        return match
    starts.settle(match, "stopped", None, "the trigger was deleted")
    return None
