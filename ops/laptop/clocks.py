"""The two clocks of a sandboxed instance: Playalter's (`playalter_now()`) and that of the imitated
Stripe. They are moved ahead together.

Each is the real time plus an offset, and each move sets an offset that is never set back. So a move
may be interrupted anywhere and repeated. Invariant: a slice begins only when all that was due in
the last one is done, and Stripe's clock moves first: what Stripe does by the end of a slice comes
before the time-outs that wait for it.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import requests

STEP = timedelta(hours=1)
PATIENCE_SECONDS = 60.0
_TRANSFER_SECONDS = 10.0
_ADVANCE_SECONDS = 600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25
_COMPARED_AFTER = timedelta(hours=1)
_SHORTLY = timedelta(seconds=2)
_NEAR = timedelta(milliseconds=1)
"""The clocks stand together if they differ by less: an interval counts microseconds."""
_LOCK = 0x636C6F636B
"""The key of the advisory lock that one mover of the clocks holds."""


class ClockRefused(Exception):
    """Raised if a clock may not be moved, or cannot be; the message says why."""


class NotSettled(Exception):
    """Raised if something that was due does not end; the message says what."""


@dataclass(frozen=True)
class Position:
    """The real time, and by how much each clock is ahead of it."""

    at: datetime
    playalter: timedelta
    stripe: timedelta

    @property
    def furthest(self) -> timedelta:
        """The offset of the clock that is further ahead."""
        return max(self.playalter, self.stripe)

    @property
    def nearest(self) -> timedelta:
        """The offset of the clock that is less far ahead."""
        return min(self.playalter, self.stripe)

    @property
    def stand_together(self) -> bool:
        """Whether both clocks show the same time."""
        return self.furthest - self.nearest < _NEAR


class Clocks:
    """Both clocks, by a connection to the database and the sandbox's control API."""

    def __init__(self, connection: Any, sandbox: str, key: str) -> None:
        """`sandbox` is the address of the control API. The caller closes the Clocks."""
        self._database, self._sandbox = connection, sandbox
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.headers["Authorization"] = f"Bearer {key}"

    def close(self) -> None:
        """Close the connections to the database and to the sandbox."""
        self._http.close()
        self._database.close()

    def position(self) -> Position:
        """Where both clocks stand."""
        (at, ahead), *_ = self._rows(_POSITION)
        stripe = self._ask("GET", "/stripe/clock")["ahead_seconds"]
        return Position(at, ahead, timedelta(seconds=stripe))

    def stripe_url(self) -> str:
        """The address of the Stripe whose clock this is."""
        return str(self._ask("GET", "/")["vendors"]["stripe"])

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """A block in which no other process moves the clocks; raises ClockRefused if one does."""
        (is_held,), *_ = self._rows("SELECT pg_try_advisory_lock(%s)", _LOCK)
        if not is_held:
            raise ClockRefused("another process moves the clocks")
        try:
            yield
        finally:
            self._rows("SELECT pg_advisory_unlock(%s)", _LOCK)

    def advance(
        self,
        target: timedelta,
        *,
        step: timedelta = STEP,
        patience: float = PATIENCE_SECONDS,
        each_slice: Callable[[Position], None] = lambda position: None,
    ) -> Position:
        """Move both clocks until they are so far ahead of the real time; where they stand then.

        A slice is at most `step` long, or ends when something is due next. `each_slice` is called
        when all that was due in it is done. Raises ClockRefused, and NotSettled if that takes more
        than `patience` seconds; then the clocks stand where they are.
        """
        with self.alone():
            self._check_movable()
            # What an interrupted move has left undone belongs to an earlier time.
            self._settle(patience)
            position = self.position()
            while target - position.nearest >= _NEAR:
                until = min(target, self._end_of_slice(position, step))
                self._move(until, patience)
                position = self.position()
                each_slice(position)
        return position

    def _end_of_slice(self, position: Position, step: timedelta) -> timedelta:
        """The offset at which the slice ends: after a step, but never after the time at which a day
        is compared.

        Time in which nothing is due is passed in one slice, which ends shortly before what is due
        next: a webhook finds Playalter's clock where the slice began.
        """
        if not position.stand_together:
            return min(position.furthest, position.nearest + step)
        due: datetime | None = self._rows(_NEXT)[0][0]
        planned = self._ask("GET", "/stripe/clock")["next_at"]
        now = position.at + position.nearest
        times = [due, None if planned is None else datetime.fromtimestamp(planned, UTC)]
        mark = _compared(now)
        quiet = min([*filter(None, times), mark]) - _SHORTLY - now
        length: timedelta = quiet if quiet > _SHORTLY else step
        return position.nearest + min(mark - now, length)

    def _move(self, ahead: timedelta, patience: float) -> None:
        self._ask(
            "POST",
            "/stripe/advance",
            {"ahead_seconds": ahead.total_seconds()},
            seconds=_ADVANCE_SECONDS,
        )
        self._settle(patience)
        try:
            self._rows(_MOVE, ahead)
        except psycopg2.errors.RaiseException as err:
            raise ClockRefused(str(err).splitlines()[0]) from err
        self._settle(patience)

    def _check_movable(self) -> None:
        """Raise ClockRefused if Playalter's clock may not be moved: Stripe's would move alone."""
        try:
            self._rows("BEGIN")
            self._rows(_MOVE, timedelta(0))
        except psycopg2.errors.RaiseException as err:
            raise ClockRefused(str(err).splitlines()[0]) from err
        finally:
            self._rows("ROLLBACK")

    def _settle(self, patience: float) -> None:
        """Wait until nothing is left to do that is due by now."""
        (now,), *_ = self._rows("SELECT playalter_now()")
        until = time.monotonic() + patience
        pause = _FIRST_PAUSE
        while left := self._left(now):
            if time.monotonic() > until:
                raise NotSettled(f"after {patience:g} s there are still {left}")
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _left(self, now: datetime) -> str:
        """What is due by `now` and not done, in words; empty if there is nothing."""
        underway = self._ask("GET", "/underway")
        counts = {
            "webhooks of the sandbox to deliver": underway["webhooks"],
            "objects of the sandbox under way": underway["objects"],
        }
        if not any(counts.values()):
            counts |= dict(self._rows(_LEFT, {"now": now}))
        return ", ".join(f"{number} {what}" for what, number in counts.items() if number)

    def _rows(self, sql: str, *given: Any) -> list[Any]:
        with self._database.cursor() as cursor:
            named = given[0] if given and isinstance(given[0], dict) else given
            cursor.execute(sql, named)
            return list(cursor.fetchall()) if cursor.description else []

    def _ask(
        self, method: str, path: str, body: Any = None, seconds: float = _TRANSFER_SECONDS
    ) -> Any:
        try:
            answer = self._http.request(method, self._sandbox + path, json=body, timeout=seconds)
            answer.raise_for_status()
        except requests.RequestException as err:
            raise ClockRefused(f"the sandbox's control API at {self._sandbox}: {err}") from err
        return answer.json()


def opened(database: str, sandbox: str, key: str) -> Clocks:
    """The clocks of an instance: the address of its database (as psycopg2 takes it), and that of
    its sandbox's control API with its key. The caller closes them. Raises psycopg2.Error."""
    connection = psycopg2.connect(database, connect_timeout=5)
    connection.autocommit = True
    return Clocks(connection, sandbox, key)


def _compared(now: datetime) -> datetime:
    """When a day (UTC) is compared next: its statement is complete an hour after its end."""
    begun = now.astimezone(UTC) - _COMPARED_AFTER
    day = begun.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=1) + _COMPARED_AFTER


_POSITION = """
SELECT clock_timestamp(), coalesce((SELECT amount FROM clock_offset), interval '0')
"""
_MOVE = """
INSERT INTO clock_offset AS o (amount) VALUES (%s)
ON CONFLICT (is_only) DO UPDATE SET amount = excluded.amount WHERE o.amount < excluded.amount
"""
_NEXT = """
SELECT least(
  (SELECT min(next_wake_at) FROM workflows WHERE completed_at IS NULL),
  (SELECT min(fires_at) FROM schedules),
  (SELECT min(opens_at) FROM flow_limits AS l
    WHERE EXISTS (SELECT FROM flow_lanes WHERE blocked_on = l.id)),
  (SELECT min(due_at) FROM webhook_sendings AS s JOIN webhook_endpoints AS e ON e.id = s.endpoint_id
    WHERE s.status = 'pending' AND e.disabled_at IS NULL))
"""
# A workflow that is looked at is due later again, so that each counts once for a time.
_LEFT = """
SELECT 'workflows due', count(*) FROM workflows
 WHERE completed_at IS NULL AND next_wake_at <= %(now)s
UNION ALL
SELECT 'steps to run', count(*)
  FROM workflows AS w JOIN steps AS s ON s.workflow_id = w.id
 WHERE w.completed_at IS NULL AND w.paused_at IS NULL AND w.status IN ('running', 'compensating')
   AND (s.status = 'running'
        OR s.status IN ('pending', 'unknown') AND s.publish_after IS NOT NULL
           AND (s.wake_at IS NULL OR s.wake_at <= %(now)s)
           AND (w.status = 'running' OR s.kind <> 'step' OR s.status = 'unknown'))
UNION ALL
SELECT 'schedules to fire', count(*) FROM schedules WHERE fires_at <= %(now)s
UNION ALL
SELECT 'throttles to open', count(*) FROM flow_limits AS l
 WHERE opens_at <= %(now)s AND EXISTS (SELECT FROM flow_lanes WHERE blocked_on = l.id)
UNION ALL
SELECT 'events to match', count(*) FROM incoming_events
 WHERE matched_at IS NULL OR wakes_at IS NOT NULL
UNION ALL
SELECT 'starts of triggers', count(*) FROM trigger_matches WHERE outcome = 'pending'
UNION ALL
SELECT 'webhooks to send', count(*)
  FROM webhook_sendings AS s JOIN webhook_endpoints AS e ON e.id = s.endpoint_id
 WHERE e.disabled_at IS NULL
   AND (s.status = 'sending' OR s.status = 'pending' AND s.due_at <= %(now)s)
"""
