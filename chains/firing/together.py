"""Commits passes over schedules in sets, and publishes what they have started.

One statement decides many schedules in one transaction. A start that is lined up locks the lanes of
its queues. Therefore the schedules of a set are in the order of (queue, user), and those whose
first steps have several queues travel alone. If a set fails, each of its schedules is decided
alone.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg2
import structlog

from app import db, settings
from app.broker.links import queue_of
from app.platform import Json
from chains import admission, registry
from chains.dispatch import dispatch_starts
from chains.firing.candidates import Candidate, replaced_among
from chains.firing.reading import Schedule
from chains.firing.reckoning import Reckoned
from chains.starting import dispatching

log = structlog.get_logger()

_MOST_TOGETHER = 64
MOST_CHARACTERS = 512_000
"""About so many characters of inputs and first steps travel together."""
_THREADS = 2
"""So many sets are committed at once, each on a connection of its own."""


@dataclass(frozen=True)
class Pass:
    """What is decided about a schedule: its times, those that are `new`, and those that wait.

    `starts` are the prepared starts. `backfill_to` is how far a part of its backfill goes.
    """

    schedule: Schedule
    reckoned: Reckoned
    new: Sequence[Candidate]
    waiting: Sequence[Candidate]
    starts: dict[Candidate, Json]
    backfill_to: datetime | None = None

    @property
    def queues(self) -> list[str]:
        """The queues of the first steps of the prepared starts, sorted."""
        versions = {each["version"] for each in self.starts.values() if "version" in each}
        plans = [registry.plan(self.schedule.type, version) for version in versions]
        heads = [plan.step(key).action for plan in plans for key in plan.heads]
        return sorted({queue_of(action) for action in heads})

    def parameters(self) -> tuple[Any, ...]:
        """The parameters of `fire_schedule_v1`, apart from the last one."""
        schedule, reckoned = self.schedule, self.reckoned
        replaced = replaced_among(self.new)
        takes_backfill = self.backfill_to is not None
        return (
            *(str(schedule.id), schedule.spec_version, schedule.seen_to, reckoned.seen_to),
            *(reckoned.next, reckoned.next_due, reckoned.missed, reckoned.missed_at),
            json.dumps([_new(each, each in replaced, self.starts.get(each)) for each in self.new]),
            json.dumps(
                [
                    {"run": each.run, "start": self.starts[each]}
                    for each in self.waiting
                    if each in self.starts
                ]
            ),
            schedule.backfill_id if takes_backfill else None,
            schedule.backfill_done_to if takes_backfill else None,
            self.backfill_to,
        )


def _new(candidate: Candidate, is_replaced: bool, start: Json | None) -> Json:
    expires_at = candidate.expires_at
    return {
        "kind": candidate.kind,
        "nominal_at": candidate.nominal_at.isoformat(),
        "overlap": candidate.overlap,
        "expires_at": None if expires_at is None else expires_at.isoformat(),
        "request_id": candidate.request_id,
        "is_replaced": is_replaced,
        "start": start,
    }


_ARRAYS = (
    *("uuid[]", "integer[]", "timestamptz[]", "timestamptz[]", "timestamptz[]", "timestamptz[]"),
    *("bigint[]", "timestamptz[]", "text[]", "text[]", "bigint[]", "timestamptz[]"),
    "timestamptz[]",
)
_COLUMNS = ", ".join(f"c{number}" for number in range(len(_ARRAYS)))
_GIVEN = _COLUMNS.replace("c8,", "c8::jsonb,").replace("c9,", "c9::jsonb,")
_FIRE = (
    f"SELECT sent.number, made.* FROM unnest({', '.join(f'%s::{each}' for each in _ARRAYS)})"
    f" WITH ORDINALITY AS sent ({_COLUMNS}, number)"
    f" CROSS JOIN LATERAL fire_schedule_v1({_GIVEN}, %s) AS made ORDER BY sent.number"
)


def fire_all(passes: Sequence[Pass]) -> None:
    """Decide the schedules of the passes, and publish what was started.

    A schedule that cannot be decided is put off, and the others are not. Raises psycopg2's errors
    if PostgreSQL is away.
    """
    groups = list(_groups(passes))
    if len(groups) == 1:
        _fire_group(groups[0])
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(_fire_group, groups))


def _fire_group(group: Sequence[Pass]) -> None:
    try:
        rows = fire(group)
    except psycopg2.Error as err:
        if _is_away(err):
            raise
        log.info("schedule.set_divided", schedules=len(group), error=type(err).__name__)
        for each in group:
            _fire_alone(each)
    else:
        _publish(group, rows)


def fire(passes: Sequence[Pass]) -> list[Json]:
    """Call `fire_schedule_v1` for each pass in one transaction. `number` counts passes from 1."""
    columns = [list(column) for column in zip(*(each.parameters() for each in passes), strict=True)]
    return db.rows(_FIRE, (*columns, settings.current().republish_seconds))


def fire_one(one: Pass) -> list[Json]:
    """Decide one schedule, publish what was started, and return its rows."""
    rows = fire([one])
    _publish([one], rows)
    return rows


def _fire_alone(one: Pass) -> None:
    try:
        fire_one(one)
    except psycopg2.errors.CheckViolation:
        postpone(one.schedule.id, 1.0)  # its version was retired meanwhile; it is chosen again
    except psycopg2.Error as err:
        if _is_away(err):
            raise
        log.error("schedule.not_fired", schedule=str(one.schedule.id), exc_info=err)
        postpone(one.schedule.id)


def _is_away(err: psycopg2.Error) -> bool:
    """Whether PostgreSQL is away; not if only the statement took too long or waited for a lock."""
    is_slow = isinstance(err, psycopg2.errors.QueryCanceled | psycopg2.errors.LockNotAvailable)
    return isinstance(err, db.AWAY) and not is_slow


def postpone(schedule_id: UUID, seconds: float = 60.0) -> None:
    """Look at a schedule later."""
    db.row(
        "UPDATE schedules SET fires_at = playalter_now() + seconds(%s) WHERE id = %s",
        (seconds, schedule_id),
    )


def _groups(passes: Sequence[Pass]) -> Iterator[list[Pass]]:
    ordered = sorted(((one.queues, one.schedule.user_id, one) for one in passes), key=_place)
    group: list[Pass] = []
    characters = 0
    for queues, _, one in ordered:
        # What flow control decides takes locks of its own, in no common order.
        if len(queues) > 1 or any(each.get("wanted") for each in one.starts.values()):
            yield [one]
            continue
        size = sum(map(size_of, one.starts.values()))
        if group and (len(group) == _MOST_TOGETHER or characters + size > MOST_CHARACTERS):
            yield group
            group, characters = [], 0
        group.append(one)
        characters += size
    if group:
        yield group


def size_of(start: Json) -> int:
    """The characters of a prepared start."""
    return len(start.get("input", "")) + len(start.get("steps", ""))


_GATHERED = frozenset({"opened", "joined", "complete"})
"""The starts that wait for further ones. The reconciler begins them."""


def _place(each: tuple[list[str], UUID, Pass]) -> tuple[list[str], UUID]:
    return each[0], each[1]


def _publish(passes: Sequence[Pass], rows: Sequence[Json]) -> None:
    """Publish the first steps of what was started. What is lost here, the reconciler publishes."""
    now: list[tuple[UUID, str, int, int]] = []
    backed_up: set[str] = set()
    for row in rows:
        if row["outcome"] != "started" or row["start"] in _GATHERED:
            continue
        one = passes[row["number"] - 1]
        workflow_id = row["workflow_id"]
        version = next(
            start["version"]
            for start in one.starts.values()
            if start.get("prepared_id") == str(workflow_id)
        )
        started = (workflow_id, one.schedule.type, version, one.schedule.priority)
        if row["start"] == "started":
            now.append(started)
        elif row["start"] == "waits":
            dispatching.dispatch_soon()
        elif row["start"] == "lined_up":
            backed_up.update(one.queues)
        else:
            plan = registry.plan(one.schedule.type, version)
            admission.publish(workflow_id, plan.heads)
    dispatch_starts(now, admission.notice)
    for queue in sorted(backed_up):
        admission.look_after_lining_up(queue)
