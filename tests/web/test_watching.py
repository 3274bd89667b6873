"""One look for many readers of event streams."""

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg2
import pytest
from uuid_utils.compat import uuid4

from app import db
from app.errors import NotFound
from app.queries import Tail, Watched, workflow_events, workflow_tails
from app.settings import Settings, current
from tests.web.conftest import Caller, append_event, end
from web.watching import Watch


def _looks() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "watch"]


def _waited(watch: Watch, watched: Watched, seconds: float) -> Tail | None:
    wish = watch.wish(watched)
    try:
        return watch.told(wish, seconds)
    finally:
        watch.drop(wish)


def test_one_question_for_many_answers_like_one_for_each(
    caller: Caller, stranger: Caller, start: Callable[..., UUID]
) -> None:
    first, second = start(), start()
    for _ in range(3):
        append_event(first, "StepSucceeded")
    end(second)
    me = caller.user_id
    found = workflow_tails(
        [
            Watched(second, me, 0),
            Watched(first, stranger.user_id, 0),
            Watched(first, me, 1),
            Watched(uuid4(), me, 0),
            Watched(second, me, 2),
            Watched(first, me, 4),
        ],
        limit=2,
    )
    assert found == [
        workflow_events(second, me, after=0, limit=2),
        None,
        workflow_events(first, me, after=1, limit=2),
        None,
        Tail([], is_complete=True),
        Tail([], is_complete=False),
    ]
    assert found[2] is not None
    assert [seq for seq, _ in found[2].events] == [2, 3]


def test_all_who_wait_are_told_of_their_own_soon_by_one_thread(
    caller: Caller, start: Callable[..., UUID]
) -> None:
    watch = Watch()
    workflows = [start() for _ in range(12)]

    def wait(workflow_id: UUID) -> tuple[Tail | None, float]:
        tail = _waited(watch, Watched(workflow_id, caller.user_id, 1), 10.0)
        return tail, time.monotonic()

    with ThreadPoolExecutor(len(workflows)) as pool:
        waiting = [pool.submit(wait, workflow_id) for workflow_id in workflows]
        assert _waited(watch, Watched(workflows[0], caller.user_id, 1), 0.3) is None
        assert len(_looks()) == 1
        for workflow_id, each in zip(workflows, waiting, strict=True):
            assert not each.done()
            append_event(workflow_id, "StepSucceeded")
            committed = time.monotonic()
            tail, told = each.result(timeout=5)
            assert tail is not None
            assert [seq for seq, _ in tail.events] == [2]
            assert told - committed < 1.0


def test_the_end_and_an_unknown_workflow_are_told_at_once(
    caller: Caller, start: Callable[..., UUID]
) -> None:
    watch, workflow_id = Watch(), start()
    end(workflow_id)
    assert _waited(watch, Watched(workflow_id, caller.user_id, 2), 5.0) == Tail(
        [], is_complete=True
    )
    with pytest.raises(NotFound):
        _waited(watch, Watched(uuid4(), caller.user_id, 0), 5.0)


def test_readers_are_told_what_happened_while_the_database_was_away(
    caller: Caller, start: Callable[..., UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, workflow_id = Watch(), start()
    watched = Watched(workflow_id, caller.user_id, 1)
    assert _waited(watch, watched, 0.1) is None
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
    right = current()
    current.cache_clear()
    assert _waited(watch, watched, 0.3) is None
    monkeypatch.setenv("DATABASE_URL", right.database_url)
    current.cache_clear()
    append_event(workflow_id, "StepSucceeded")
    tail = _waited(watch, watched, 10.0)
    assert tail is not None
    assert [seq for seq, _ in tail.events] == [2]


def test_a_look_that_takes_longer_than_its_readers_wait_still_tells_them(
    settings: Settings, caller: Caller, start: Callable[..., UUID]
) -> None:
    watch, workflow_id = Watch(), start()
    append_event(workflow_id, "StepSucceeded")
    with contextlib.closing(psycopg2.connect(db.dsn(settings.database_url))) as holder:
        holder.cursor().execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        wish = watch.wish(Watched(workflow_id, caller.user_id, 1))
        assert [watch.told(wish, 0.1) for _ in range(15)] == [None] * 15
        holder.rollback()
        began = time.monotonic()
        assert watch.told(wish, 5.0) is not None
    # A look that took so long is followed by another soon.
    append_event(workflow_id, "StepSucceeded")
    assert _waited(watch, Watched(workflow_id, caller.user_id, 2), 5.0) is not None
    assert time.monotonic() - began < 4.0


def test_connections_that_were_cut_are_replaced(
    settings: Settings, caller: Caller, start: Callable[..., UUID]
) -> None:
    watch, workflow_id = Watch(), start()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_waited, watch, Watched(workflow_id, caller.user_id, 1), 10.0)
        connection = psycopg2.connect(db.dsn(settings.database_url))
        try:
            connection.autocommit = True
            for _ in range(3):
                time.sleep(0.1)
                connection.cursor().execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        finally:
            connection.close()
        append_event(workflow_id, "StepSucceeded")
        tail = waiting.result(timeout=10)
    assert tail is not None
    assert [seq for seq, _ in tail.events] == [2]


def test_nobody_looks_when_nobody_waits(caller: Caller, start: Callable[..., UUID]) -> None:
    watch, workflow_id = Watch(), start()
    assert _waited(watch, Watched(workflow_id, caller.user_id, 1), 0.1) is None
    until = time.monotonic() + 10
    while _looks() and time.monotonic() < until:
        time.sleep(0.05)
    assert _looks() == []
    append_event(workflow_id, "StepSucceeded")
    assert _waited(watch, Watched(workflow_id, caller.user_id, 1), 5.0) is not None


def test_closed_it_looks_no_more(caller: Caller, start: Callable[..., UUID]) -> None:
    """Neither for who waits nor for who comes, and its thread has ended."""
    watch, watched = Watch(), Watched(start(), caller.user_id, 1)
    before = _looks()
    waiting = watch.wish(watched)
    (looking,) = set(_looks()) - set(before)
    watch.close()
    assert not looking.is_alive()
    late = watch.wish(watched)
    append_event(watched.workflow_id, "StepSucceeded")
    assert watch.told(waiting, 0.2) is None
    assert watch.told(late, 0.2) is None
    assert not set(_looks()) - set(before)
