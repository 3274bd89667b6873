"""Events of watched workflows are announced, and only theirs; what was not announced is polled."""

import contextlib
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import psycopg2
import pytest

from app import db
from app.protocol import watched as announcing
from app.queries import Tail, Watched
from app.settings import Settings, current
from tests.web.conftest import Caller, append_event, change, end
from web.announced import Announced
from web.watching import Waiter, Watch, _Polls

NEVER = 600.0
ENDED = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
STREAMS = "playalter-streams"


@contextlib.contextmanager
def watching(most: int = 4) -> Iterator[Watch]:
    """A watch that polls too late to find an event in a test."""
    watch = Watch(first_poll_seconds=NEVER, poll_seconds=NEVER, idle_seconds=60.0, most=most)
    try:
        yield watch
    finally:
        watch.close()


def follow(watch: Watch, workflow_id: UUID, caller: Caller, after: int = 1) -> Waiter:
    """A waiter of a stream that has read the events up to `after`; its workflow is watched."""
    waiter = watch.register(
        Watched(workflow_id, caller.user_id, after, caller.prefix), is_read=True
    )
    until = time.monotonic() + 10
    while not is_watched(workflow_id) and time.monotonic() < until:
        time.sleep(0.005)
    assert is_watched(workflow_id)
    return waiter


def is_watched(workflow_id: UUID) -> bool:
    """Whether the workflow's events are announced."""
    found = "SELECT FROM watched_workflows WHERE workflow_id = %s AND until > clock_timestamp()"
    return bool(db.rows(found, (workflow_id,)))


def numbers(tail: Tail | None) -> list[int]:
    """The numbers of its events."""
    assert tail is not None
    return [seq for seq, _ in tail.events]


def test_an_announced_event_wakes_its_stream_before_any_poll(
    caller: Caller, start: Callable[..., UUID]
) -> None:
    workflow_id, other = start(), start()
    with watching() as watch:
        waiting = follow(watch, other, caller)
        for after in (1, 2):  # the second time, the workflow is watched already
            waiter = follow(watch, workflow_id, caller, after)
            append_event(workflow_id, "StepSucceeded")
            assert numbers(watch.wait(waiter, 5.0)) == [after + 1]
        # Nobody waits when this one is announced.
        append_event(workflow_id, "StepSucceeded")
        time.sleep(0.1)
        late = watch.register(Watched(workflow_id, caller.user_id, 3, caller.prefix), is_read=True)
        assert numbers(watch.wait(late, 5.0)) == [4]
        last = follow(watch, workflow_id, caller, 4)
        end(workflow_id)
        tail = watch.wait(last, 5.0)
        assert (numbers(tail), tail and tail.is_complete) == ([5], True)
        assert watch.wait(waiting, 0.0) is None


def test_two_watches_of_a_workflow_do_not_end_each_others_announcements(
    caller: Caller, start: Callable[..., UUID]
) -> None:
    workflow_id = start()
    with watching() as staying:
        with watching() as leaving:
            waiters = [follow(each, workflow_id, caller) for each in (staying, leaving)]
            leaving.drop(waiters[1])
        append_event(workflow_id, "StepSucceeded")
        assert numbers(staying.wait(waiters[0], 5.0)) == [2]


def test_a_lost_connection_is_replaced_and_its_workflows_are_watched_again(
    caller: Caller, start: Callable[..., UUID]
) -> None:
    first, second = start(), start()
    with watching() as watch:
        waiters = [follow(watch, each, caller) for each in (first, second)]
        change("TRUNCATE watched_workflows")  # as after a crash
        assert len(db.rows(ENDED, (STREAMS,))) == 1
        append_event(first, "StepSucceeded")
        # A new connection also polls once for what was not announced meanwhile.
        assert numbers(watch.wait(waiters[0], 5.0)) == [2]
        follow(watch, second, caller)
        append_event(second, "StepSucceeded")
        assert numbers(watch.wait(waiters[1], 5.0)) == [2]


def test_an_event_between_the_read_and_the_watch_is_found_by_a_poll(
    caller: Caller, start: Callable[..., UUID]
) -> None:
    workflow_id, watch = start(), Watch(idle_seconds=1.0)
    with contextlib.closing(watch):
        append_event(workflow_id, "StepSucceeded")
        assert numbers(watch.wait(follow(watch, workflow_id, caller), 5.0)) == [2]
        # And one whose transaction has looked before, and commits later.
        other = start()
        with contextlib.closing(psycopg2.connect(db.dsn(current().database_url))) as writer:
            writer.cursor().execute(
                "SELECT append_event_v1(id, 'StepSucceeded', 'one', '{}') FROM workflows"
                " WHERE id = %s FOR NO KEY UPDATE",
                (str(other),),
            )
            waiter = follow(watch, other, caller)
            assert watch.wait(waiter, 0.1) is None
            writer.commit()
        assert numbers(watch.wait(waiter, 5.0)) == [2]


def test_a_process_with_many_streams_polls_for_the_others(
    caller: Caller, start: Callable[..., UUID]
) -> None:
    told, polled = start(), start()
    with watching(most=1) as watch:
        waiters = [follow(watch, told, caller)]
        waiters.append(
            watch.register(Watched(polled, caller.user_id, 1, caller.prefix), is_read=True)
        )
        assert watch.wait(waiters[1], 0.1) is None
        assert not is_watched(polled)
        for each, waiter in zip((told, polled), waiters, strict=True):
            append_event(each, "StepSucceeded")
            assert numbers(watch.wait(waiter, 5.0)) == [2]


def test_with_a_replica_nothing_is_watched_and_events_are_polled(
    settings: Settings,
    caller: Caller,
    start: Callable[..., UUID],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workflow_id = start()
    monkeypatch.setenv("DATABASE_REPLICA_URL", settings.database_url)
    current.cache_clear()
    with watching() as watch:
        watched = Watched(workflow_id, caller.user_id, 1, caller.prefix)
        waiter = watch.register(watched, is_read=True)
        assert watch.wait(waiter, 0.1) is None
        append_event(workflow_id, "StepSucceeded")
        assert numbers(watch.wait(waiter, 5.0)) == [2]
        assert not is_watched(workflow_id)


def test_only_the_events_of_watched_workflows_are_announced(start: Callable[..., UUID]) -> None:
    watched, expired, other = start(), start(), start()
    events = ['{"type": "A"}', '{"type": "B"}']
    several = "SELECT append_events_v1(%s, %s::jsonb[])"
    connection = db.connect_to_read(application="listener")
    with contextlib.closing(connection.connection):
        announcing.listen(connection)
        announcing.watch(connection, [watched, expired])
        now = "UPDATE watched_workflows SET until = clock_timestamp() WHERE workflow_id = %s"
        db.row(now, (expired,))
        for each in (other, expired):
            append_event(each, "StepSucceeded")
            db.row(several, (each, events))
        for payload in ("", "no id", f"{other} x", f"{other}"):  # whoever announces this
            db.row("SELECT pg_notify('watched_events', %s)", (payload,))
        for seq in (2, 3):
            append_event(watched, "StepSucceeded")
            assert heard(connection, watched, seq) == {watched}
        db.row(several, (watched, events))
        assert heard(connection, watched, 5) == {watched}


def heard(connection: db.PooledConnection, workflow_id: UUID, seq: int) -> set[UUID]:
    """The workflows with announcements, up to that of this event; they come in order."""
    found: set[UUID] = set()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        events = announcing.announced(connection)
        found |= events.keys()
        if events.get(workflow_id) == seq:
            return found
        time.sleep(0.005)
    pytest.fail("the event was not announced")


def test_a_workflow_is_watched_for_the_longest_time_that_was_asked_for(
    start: Callable[..., UUID],
) -> None:
    workflow_id = start()
    left = (
        "SELECT extract(epoch FROM until - clock_timestamp())::float8 AS n FROM watched_workflows"
    )
    for seconds, least, most in ((30, 20, 30), (10, 20, 30), (50, 40, 50)):
        db.row("SELECT watch_workflows_v1(%s::uuid[], %s)", ([workflow_id] * 2, seconds))
        (row,) = db.rows(f"{left} watched_workflows", ())
        assert least < row["n"] <= most


def test_a_process_watches_a_bounded_number_and_renews_them_in_time() -> None:
    announced = Announced(20.0, 2)
    first, second, third = (UUID(int=number) for number in (1, 2, 3))
    assert announced.missing([first], 0.0) == {first}
    announced.add([first], 0.0)
    assert announced.missing([first, second, third], 1.0) == {second}
    announced.add([second], 1.0)
    assert announced.missing([first, second, third], 9.0) == set()
    assert [announced.covers(each, 9.0) for each in (first, second, third)] == [True, True, False]
    announced.hear({first: 7, third: 9})
    announced.hear({first: 6})
    assert [announced.last(each) for each in (first, second, third)] == [7, 0, 0]
    # The first is renewed; the second, for which no stream has waited since, makes room in the end.
    assert announced.missing([first, third], 10.5) == {first}
    announced.add([first], 10.5)
    assert announced.missing([first, third], 20.5) == {first}
    assert announced.missing([first, third], 21.5) == {first, third}
    announced.end(first)
    assert announced.missing([second, third], 21.5) == {second, third}


def test_polls_come_although_workflows_are_added_again_and_again() -> None:
    polls = _Polls(0.02, 0.25)
    polls.polled(time.monotonic(), None)
    end = time.monotonic() + 5
    while not polls.is_due(time.monotonic(), None):
        assert time.monotonic() < end, "no poll is due"
        polls.restart()
        time.sleep(0.002)
