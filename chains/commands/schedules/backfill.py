"""Starts times of a schedule that are in the past, after it was said how many they are."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from app import db
from app.errors import Conflict, InvalidInput, NotFound
from chains import registry
from chains.commands.command import Caller
from chains.commands.schedules.subject import id_of, locked, note, stored_spec
from chains.firing.reckoning import count
from chains.schedules.reading import EARLIEST

MOST_TIMES = 10_000
"""So many times one backfill has at most."""


@dataclass(frozen=True)
class Estimate:
    """How many times a backfill has, and what their workflows may cost, in micro-USD.

    `cost_micro_usd` is made from the last workflows of the schedule that have ended; None if there
    is none. `most_micro_usd` is made from the budget of the definition; None if it has none. Times
    of which a workflow exists are not started again, and are counted nevertheless.
    """

    times: int
    cost_micro_usd: int | None
    most_micro_usd: int | None


def estimate(caller: Caller, name: str, after: datetime, until: datetime) -> Estimate:
    """What a backfill of the times between `after` (exclusive) and `until` (inclusive) would do.

    Raise NotFound, and InvalidInput if `until` is not in the past, if `after` is before the year
    2000, or if there are too many times.
    """
    schedule_id = id_of(caller, name)
    row = db.call(_FACTS, (schedule_id,))
    assert row is not None
    times = _count(row["spec"], caller, after, until, row["now"])
    cost = row["cost"]
    budget = _budget(row["type"], row["version"])
    return Estimate(
        times,
        None if cost is None else round(cost * times),
        None if budget is None else budget * times,
    )


# The costs of children are kept beside their ancestors.
_FACTS = """
SELECT s.spec, s.type, s.version, playalter_now() AS now, (
  SELECT avg(w.spent + coalesce((SELECT sum(c.spent) FROM child_costs AS c
                                  WHERE c.ancestor_id = w.id), 0))::float8
    FROM (SELECT workflow_id FROM schedule_runs
           WHERE schedule_id = s.id AND ended_at IS NOT NULL ORDER BY id DESC LIMIT 20) AS r
    JOIN workflows AS w ON w.id = r.workflow_id) AS cost
  FROM schedules AS s WHERE s.id = %s
"""


def backfill(
    caller: Caller, name: str, after: datetime, until: datetime, *, times: int, overlap: str
) -> int:
    """Begin a backfill of the estimated number of times, and return its id.

    Its starts follow the policy `overlap`, whatever that of the schedule is. They take turns with
    the regular times of the schedule, which go first. Raise like `estimate`, and Conflict if the
    number of times is another one.
    """

    def write() -> int:
        with db.begin() as connection:
            row = locked(connection, caller, name)
            found = _count(row["spec"], caller, after, until, row["now"])
            if found != times:
                raise Conflict(
                    f"there are {found} times and not {times}; ask for an estimate again",
                    code="other_count",
                )
            given = {
                "id": row["id"],
                "after": after,
                "until": until,
                "overlap": overlap,
                "times": times,
                "by": caller.on_record,
            }
            made: int = connection.execute(text(_INSERT), given).scalar_one()
            connection.execute(text(_LOOK), {"id": row["id"]})
            data = {"backfill": made, "times": times, "overlap": overlap}
            note(connection, row["id"], "BackfillRequested", caller, data)
            return made

    return db.patiently(write)


_INSERT = (
    "INSERT INTO schedule_backfills (schedule_id, after_at, until_at, done_to, overlap, times,"
    " requested_by) VALUES (:id, :after, :until, :after, :overlap, :times, :by) RETURNING id"
)
_LOOK = "UPDATE schedules SET fires_at = least(fires_at, playalter_now()) WHERE id = :id"


def end_backfill(caller: Caller, name: str, backfill_id: int) -> None:
    """End a backfill: it starts no further times, and those of it that wait are dropped.

    Raise NotFound if the schedule has no such backfill, and Conflict if it has ended.
    """

    def write() -> str:
        with db.begin() as connection:
            row = locked(connection, caller, name)
            given = {"id": row["id"], "backfill": backfill_id}
            ended = connection.execute(text(_END), given).scalar_one_or_none()
            if ended is None:
                known = connection.execute(text(_KNOWN), given).scalar_one_or_none()
                if not known:
                    return "unknown"
            dropped = connection.execute(text(_DROP), given).rowcount
            if ended is None and not dropped:
                return "ended"
            note(connection, row["id"], "BackfillEnded", caller, {"backfill": backfill_id})
            return "done"

    found = db.patiently(write)
    if found == "unknown":
        raise NotFound("there is no such backfill")
    if found == "ended":
        raise Conflict("the backfill has ended", code="backfill_ended")


_END = (
    "UPDATE schedule_backfills SET ended_at = clock_timestamp()"
    " WHERE id = :backfill AND schedule_id = :id AND ended_at IS NULL RETURNING id"
)
_KNOWN = "SELECT 1 FROM schedule_backfills WHERE id = :backfill AND schedule_id = :id"
# Those of other backfills of the schedule cannot be told apart, and are dropped too if they wait.
_DROP = """
WITH dropped AS (
  UPDATE schedule_runs SET outcome = 'dropped', reason = 'backfill_ended', is_open = false,
         decided_at = clock_timestamp()
   WHERE schedule_id = :id AND is_open AND outcome = 'buffered' AND kind = 'backfill'
     AND NOT EXISTS (SELECT FROM schedule_backfills AS b
                      WHERE b.schedule_id = :id AND b.ended_at IS NULL)
  RETURNING 1)
UPDATE schedules SET dropped = dropped + (SELECT count(*) FROM dropped)
 WHERE id = :id AND EXISTS (SELECT FROM dropped)
"""


def _count(
    spec: dict[str, object], caller: Caller, after: datetime, until: datetime, now: datetime
) -> int:
    if until > now:
        raise InvalidInput("must not be in the future", field="/until", code="not_past")
    if after < EARLIEST:
        words = f"must not be before the year {EARLIEST.year}"
        raise InvalidInput(words, field="/after", code="too_early")
    if after >= until:
        raise InvalidInput("must be before `until`", field="/after", code="no_span")
    found = count(stored_spec(spec, caller.id), after, until, MOST_TIMES + 1)
    if found > MOST_TIMES:
        raise InvalidInput(
            f"a backfill has at most {MOST_TIMES} times; divide the span",
            field="/after",
            code="too_many_times",
        )
    return found


def _budget(type: str, version: int | None) -> int | None:
    found = registry.pick(type, UUID(int=0), version)
    return None if found is None else registry.plan(type, found[0]).budget
