"""No limit is exceeded at any commit, whatever sixteen threads do at the same moment, and nothing
that waits is forgotten.

The database of this test counts at each commit that adds a place: a deferred trigger counts the
places of the limit while the transaction still holds its locks. A sequence counts the checks, and
another one what was too much, because a sequence keeps what a rollback loses. An observer counts
from outside too.
"""

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.errors import PlayalterError
from chains.commands.command import Caller
from chains.commands.pause import pause, resume
from chains.repair.reconcile import reconcile
from chains.starting import deferred
from chains.starting.dispatching import dispatch
from tests.integration.conftest import Kernel, Threads, deadlocks
from tests.integration.driving import drive, pass_time, run
from tests.integration.flow.samples import admit, controlled, count

THREADS = 16
WATCH = """
CREATE SEQUENCE checks; CREATE SEQUENCE excesses; CREATE TABLE caps (key text, most integer);
CREATE FUNCTION count_places() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  cap integer := (SELECT c.most FROM caps AS c JOIN flow_limits AS l ON l.key ~ c.key
                   WHERE l.id = NEW.limit_id);
BEGIN
  PERFORM nextval('checks');
  IF (SELECT count(*) FROM flow_turns WHERE limit_id = NEW.limit_id AND NOT is_extra) > cap THEN
    PERFORM nextval('excesses');
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER count_places AFTER INSERT ON flow_turns
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION count_places();
INSERT INTO caps VALUES ('^$', 5), ('^input.of=', 2)
"""
TOO_MANY = (
    "SELECT l.key, count(*) FROM flow_turns AS t JOIN flow_limits AS l ON l.id = t.limit_id"
    " JOIN caps AS c ON l.key ~ c.key WHERE NOT t.is_extra GROUP BY l.key"
    " HAVING count(*) > max(most)"
)


def number(sequence: str) -> int:
    """How often something was counted."""
    (row,) = db.rows(f"SELECT last_value, is_called FROM {sequence}", ())
    return int(row["last_value"]) if row["is_called"] else 0


class Crowd:
    """What one of the threads does, at random."""

    def __init__(self, kernel: Kernel, ada: Caller, name: str, connect: Callable[[], Any]) -> None:
        self.kernel, self.ada, self.name, self.connect = kernel, ada, name, connect
        self.done: dict[str, int] = {}

    def work(self, seed: int, seconds: float) -> None:
        """Do one thing after the other, for so many seconds."""
        chance = random.Random(seed)
        until = time.monotonic() + seconds
        actions = [
            *[self.start] * 4,
            *[self.advance] * 6,
            *[self.admit] * 4,
            *(
                self.cancel,
                self.pause,
                self.resume,
                self.begin,
                self.break_off,
                self.die,
                self.repair,
            ),
        ]
        while time.monotonic() < until:
            action = chance.choice(actions)
            try:
                action(chance)
                self.done[action.__name__] = self.done.get(action.__name__, 0) + 1
            except PlayalterError:
                pass  # another thread was first

    def start(self, chance: random.Random) -> None:
        if count("flow_entries") < 60:
            self.kernel.start(self.name, {"of": chance.choice("abcd")})

    def admit(self, _: random.Random) -> None:
        dispatch()

    def advance(self, chance: random.Random) -> None:
        rows = db.rows(
            "SELECT workflow_id, key, action FROM steps WHERE status = 'pending'"
            " AND publish_after IS NOT NULL LIMIT 40",
            (),
        )
        if rows:
            row = chance.choice(rows)
            run(row["workflow_id"], row["key"], row["action"])

    def one(self, chance: random.Random, where: str) -> UUID | None:
        rows = db.rows(f"SELECT id FROM workflows WHERE {where} ORDER BY id DESC LIMIT 20", ())
        return chance.choice(rows)["id"] if rows else None

    def cancel(self, chance: random.Random) -> None:
        found = self.one(chance, "status IN ('pending', 'running')")
        if found is not None:
            self.kernel.cancel(found)

    def pause(self, chance: random.Random) -> None:
        found = self.one(chance, "status = 'pending' AND paused_at IS NULL")
        if found is not None:
            pause(self.ada, found)

    def resume(self, chance: random.Random) -> None:
        found = self.one(chance, "completed_at IS NULL AND paused_at IS NOT NULL")
        if found is not None:
            resume(self.ada, found)

    def begin(self, chance: random.Random) -> None:
        """Begin one, most often one that a lost process has admitted."""
        has_turns = " AND id IN (SELECT workflow_id FROM flow_turns)"
        is_any = chance.random() < 0.2
        found = self.one(chance, "status = 'pending'" + ("" if is_any else has_turns))
        if found is not None:
            deferred.begin(found)

    def repair(self, _: random.Random) -> None:
        """Begin what others have admitted before they died."""
        reconcile()

    def break_off(self, _: random.Random) -> None:
        """Admit, and roll it back."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pools FROM flow_pools_v1(100)")
            cursor.execute("SELECT admit_starts_v1(id, 10) FROM flow_pools")
            connection.rollback()
        connection.close()

    def die(self, _: random.Random) -> None:
        """Admit, and lose the connection before the commit, or right after it."""
        connection = self.connect()
        with connection.cursor() as cursor:
            cursor.execute("SELECT admit_starts_v1(id, 10) FROM flow_pools")
            if random.random() < 0.5:
                connection.commit()
                db.row("UPDATE admissions SET at = at - interval '1 minute'", ())
            db.row("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        connection.close()


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(1.5, id="short"), pytest.param(45.0, id="long", marks=pytest.mark.long)],
)
def test_no_limit_is_exceeded_at_any_commit_and_nothing_is_forgotten(
    kernel: Kernel, ada: Caller, in_threads: Threads, agreeing: None, raw: Any, seconds: float
) -> None:
    limits = [{"limit": 2, "key": "input.of"}, {"limit": 5}]
    name = controlled(kernel, concurrency=limits, share={"key": "input.of"})
    watching = raw()
    with watching.cursor() as cursor:
        cursor.execute(WATCH)
    watching.commit()
    watching.autocommit = True
    crowd = Crowd(kernel, ada, name, raw)
    over = threading.Event()
    seen: list[Any] = []
    looks = 0

    def observe() -> None:
        nonlocal looks
        with watching.cursor() as cursor:
            while not over.is_set():
                cursor.execute(TOO_MANY)
                seen.extend(cursor.fetchall())
                looks += 1
                time.sleep(0.002)

    observer = threading.Thread(target=observe)
    observer.start()
    try:
        in_threads([partial(crowd.work, number, seconds) for number in range(THREADS)])
    finally:
        over.set()
        observer.join()
    assert (seen, number("excesses"), deadlocks()) == ([], 0, 0)
    print(f"{number('checks')} checks at commits, {looks} looks, {crowd.done}")
    assert number("checks") > 10 * seconds
    _end_all(ada)
    tables = ("flow_turns", "flow_entries", "flow_released")
    assert [count(each) for each in tables] == [0, 0, 0]
    assert count("flow_lanes", "is_open OR blocked_on IS NOT NULL") == 0
    # The trigger does count.
    extra = [kernel.start(name, {"of": "a"}) for _ in range(3)]
    admit()
    db.row(
        "INSERT INTO flow_turns (workflow_id, limit_id) SELECT %s, id FROM flow_limits"
        " WHERE key = 'input.of=a'",
        (extra[2],),
    )
    assert number("excesses") == 1


def _end_all(ada: Caller) -> None:
    """Let everything end, as the processes of a quiet instance would."""
    for _ in range(100):
        for row in db.rows(
            "SELECT id FROM workflows WHERE paused_at IS NOT NULL AND completed_at IS NULL", ()
        ):
            resume(ada, row["id"])
        db.row("UPDATE admissions SET at = at - interval '1 minute'", ())
        pass_time("16 seconds")  # then what a lost process has admitted is begun
        drive()
        admit()
        if count("workflows", "completed_at IS NULL") == 0:
            reconcile()
            admit()
            return
    raise AssertionError(f"these do not end: {db.rows(_STUCK, ())}")


_STUCK = (
    "SELECT w.id, w.status, w.paused_at, w.next_wake_at - clock_timestamp() AS looked_at_in,"
    " (SELECT count(*) FROM flow_turns WHERE workflow_id = w.id) AS turns,"
    " (SELECT count(*) FROM flow_entries WHERE workflow_id = w.id) AS entries,"
    " (SELECT to_jsonb(s) FROM steps AS s WHERE workflow_id = w.id) AS step, to_jsonb(l) AS lane"
    " FROM workflows AS w LEFT JOIN flow_lanes AS l ON l.id = w.lane_id"
    " WHERE completed_at IS NULL LIMIT 5"
)
