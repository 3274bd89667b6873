"""Admission: what is beyond a queue's level waits in lanes, and comes out in order, once."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import redis

from app import db
from app.identity import keys
from app.protocol import lanes
from chains import admission
from chains.dispatch import queue_length
from chains.repair.reconcile import reconcile
from tests.integration.conftest import Kernel, Threads

TYPE = "noop_chain"


@contextmanager
def many_messages(broker: redis.Redis, count: int = lanes.MOST_MESSAGES + 1) -> Iterator[None]:
    """The queue `control` has so many messages meanwhile."""
    broker.lpush("control", *["{}"] * count)
    try:
        yield
    finally:
        admission.forget()  # or looks that are due would publish what the test admits
        broker.ltrim("control", 0, -count - 1)


def back_up() -> None:
    """The queue `control` is backed up from now on."""
    db.row("INSERT INTO queues (name, is_backed_up) VALUES ('control', true)", ())


def is_backed_up() -> bool:
    row = db.row("SELECT is_backed_up FROM queues WHERE name = 'control'", ())
    return row is not None and bool(row["is_backed_up"])


def entries() -> int:
    row = db.row("SELECT count(*) AS n FROM lane_entries", ())
    assert row is not None
    return int(row["n"])


def another_user(kernel: Kernel, name: str) -> Kernel:
    row = db.row("SELECT create_user_v1(%s) AS id", (f"{name}@example.com",))
    assert row is not None
    return Kernel(row["id"])


def admitted(length: int = 0) -> list[UUID]:
    """The workflows that are admitted to a queue of so many messages, in order."""
    found = lanes.admit("control", length)
    assert found is not None
    return [each.workflow_id for each in found.admitted]


def all_admitted() -> list[UUID]:
    """All workflows that are lined up, in the order of their admission."""
    order: list[UUID] = []
    while more := admitted():
        order += more
    return order


def lined_up(kernel: Kernel, count: int = 1, **rest: Any) -> list[UUID]:
    """Start workflows while the queue is backed up, and too long for more messages."""
    return [kernel.start(TYPE, **rest) for _ in range(count)]


def looked_at_soon(workflow: UUID) -> None:
    """The reconciler looks at the workflow again, so that a lost message is repaired."""
    db.row("UPDATE admissions SET at = at - interval '1 minute'", ())
    lanes.look_at_admitted(10)
    found = db.row(
        "SELECT FROM workflows WHERE id = %s AND next_wake_at <= playalter_now()", (workflow,)
    )
    assert found is not None
    assert db.rows("SELECT FROM admissions", ()) == []


def test_a_long_queue_is_backed_up_and_a_short_one_is_not(
    kernel: Kernel, broker: redis.Redis
) -> None:
    admission.top_up("control")
    kernel.start(TYPE)
    assert queue_length("control") == 1
    admission.forget()
    with many_messages(broker):
        admission.top_up("control")
        assert is_backed_up()
        before = queue_length("control")
        workflow = kernel.start(TYPE)
        assert queue_length("control") == before
        row = kernel.workflow(workflow)
        assert (row["next_wake_at"] - row["started_at"]).total_seconds() > 3000
        assert row["is_asleep"] is not True
    admission.top_up("control")
    assert queue_length("control") == 2
    step = kernel.step(workflow, "first")
    assert (step["publish_after"] - row["started_at"]).total_seconds() < 60
    looked_at_soon(workflow)
    broker.delete("control")
    admission.top_up("control")
    assert not is_backed_up()
    kernel.start(TYPE)
    assert queue_length("control") == 1


def test_a_start_that_finds_the_queue_empty_does_not_wait_for_a_worker(kernel: Kernel) -> None:
    back_up()
    kernel.start(TYPE)
    assert queue_length("control") == 1
    assert not is_backed_up()


def test_users_of_weights_three_and_one_share_three_to_one(
    kernel: Kernel, broker: redis.Redis
) -> None:
    back_up()
    other = another_user(kernel, "bo")
    keys.set_weight("ADA@example.com", 3)
    with many_messages(broker):
        heavy = lined_up(kernel, 200)
        lined_up(other, 100)
    order = all_admitted()
    assert 88 <= len(set(order[:120]) & set(heavy)) <= 92
    assert [each for each in order if each in set(heavy)] == heavy


def test_users_take_turns_and_each_keeps_its_order(kernel: Kernel, broker: redis.Redis) -> None:
    back_up()
    other = another_user(kernel, "bo")
    with many_messages(broker):
        first = lined_up(kernel, 20)
        second = lined_up(other, 5)
    order = all_admitted()
    assert [each for each in order if each in first] == first
    assert [each for each in order if each in second] == second
    assert {Counter(each in first for each in order[:8])[True], 4} == {4}
    assert set(order[10:]) < set(first)


def test_a_newcomer_waits_for_one_step_of_each_other_lane(
    kernel: Kernel, broker: redis.Redis
) -> None:
    back_up()
    with many_messages(broker):
        lined_up(kernel, 30)
        assert len(admitted()) == lanes.LEAST_MESSAGES
        late = lined_up(another_user(kernel, "bo"))
        assert late[0] in admitted(lanes.LEAST_MESSAGES - 2), "it is among the next two"


def test_priority_overtakes_within_minutes_and_never_starves(
    kernel: Kernel, broker: redis.Redis
) -> None:
    back_up()
    with many_messages(broker):
        usual = lined_up(kernel, 3)
        low = lined_up(kernel, priority=4)
        high = lined_up(kernel, priority=9)
        db.row(
            "UPDATE workflows SET started_at = started_at - interval '61 s' WHERE id = %s",
            (low[0],),
        )
        db.row(
            "UPDATE lane_entries SET order_at = order_at - interval '61 s' WHERE workflow_id = %s",
            (low[0],),
        )
    assert all_admitted() == [*high, *low, *usual]


def test_a_step_that_is_claimed_or_cancelled_leaves_its_lane(
    kernel: Kernel, broker: redis.Redis
) -> None:
    back_up()
    with many_messages(broker):
        claimed, cancelled, kept = lined_up(kernel, 3)
        kernel.claim(claimed, "first")
        assert entries() == 2
        looked_at_soon(claimed)
        kernel.cancel(cancelled)
    assert all_admitted() == [kept]
    assert entries() == 0


def test_entries_of_steps_that_do_not_wait_hold_up_nobody(
    kernel: Kernel, broker: redis.Redis
) -> None:
    back_up()
    with many_messages(broker):
        gone = lined_up(kernel, 40)
        kept = lined_up(another_user(kernel, "bo"), 2)
    for workflow in gone[:20]:
        kernel.cancel(workflow)
    assert entries() == 22, "a cancelled workflow leaves its lane at once"
    db.row(
        "UPDATE steps SET publish_after = clock_timestamp() WHERE workflow_id = ANY(%s)",
        (gone[20:],),
    )
    while is_backed_up():
        admission.top_up("control", has_lined_up=True)
        broker.delete("control")
    assert entries() == 0
    published = db.rows("SELECT unnest(workflow_ids) AS id FROM admissions", ())
    assert sorted(row["id"] for row in published) == sorted(kept)
    turn = db.row("SELECT turn FROM lanes WHERE user_id = %s", (kernel.user_id,))
    assert turn == {"turn": 0.0}, "nobody pays for what was not admitted"


def test_many_users_are_served_in_one_round(kernel: Kernel, broker: redis.Redis) -> None:
    back_up()
    users = [another_user(kernel, f"user{number}") for number in range(12)]
    with many_messages(broker):
        started = [lined_up(user, 2) for user in users]
    db.row(
        "UPDATE queues SET rate = %s, filled_to = 1, level = %s,"
        " filled_at = clock_timestamp() + interval '1 s'",
        (2 * len(users) / lanes.AHEAD_SECONDS, len(users)),
    )
    first = admitted()
    assert sorted(first[:12]) == sorted(each[0] for each in started)
    assert sorted(first + all_admitted()) == sorted(
        workflow for each in started for workflow in each
    )


def test_first_steps_in_several_queues_wait_only_for_their_own(
    kernel: Kernel, broker: redis.Redis
) -> None:
    fetch = {"method": "GET", "url": "https://example.com/"}
    branches = [
        {"step": "a", "action": "control.noop"},
        {"step": "b", "action": "http.request", "with": fetch},
    ]
    name = kernel.register({"parallel": "p", "branches": branches})
    back_up()
    with many_messages(broker):
        workflow = kernel.start(name)
        assert queue_length("http") == 1
        assert queue_length("control") == lanes.MOST_MESSAGES + 1
    found = db.rows("SELECT workflow_id, key FROM lane_entries", ())
    assert [(row["workflow_id"], row["key"]) for row in found] == [(workflow, "a")]


def test_a_step_without_its_entry_gets_one_from_the_reconciler(
    kernel: Kernel, broker: redis.Redis
) -> None:
    back_up()
    with many_messages(broker):
        lost, kept = lined_up(kernel, 2)
        db.row("DELETE FROM lane_entries WHERE workflow_id = %s", (lost,))
        for workflow in (lost, kept):
            db.row("UPDATE workflows SET next_wake_at = playalter_now() WHERE id = %s", (workflow,))
        admission.forget()
        reconcile()
        assert entries() == 2
    assert all_admitted() == [lost, kept]


def test_released_steps_are_lined_up_too(kernel: Kernel, broker: redis.Redis) -> None:
    branches = [{"step": name, "action": "control.noop"} for name in ("a", "b", "c")]
    workflow = kernel.start(kernel.register({"parallel": "p", "branches": branches}))
    broker.flushdb()
    back_up()
    with many_messages(broker):
        admission.forget()
        assert admission.line_up(workflow, ["a", "b"]) == {"a", "b"}
        assert admission.line_up(workflow, ["a", "b"]) == {"a", "b"}
        assert entries() == 2
        # Of a workflow that has ended nothing is released, and nothing about it is asked.
        assert admission.line_up(uuid4(), []) == set()
    found = lanes.admit("control", 0)
    assert found is not None
    assert [(each.workflow_id, each.keys) for each in found.admitted] == [(workflow, ("a", "b"))]


def test_every_step_comes_out_once_whoever_starts_and_admits(
    kernel: Kernel, broker: redis.Redis, in_threads: Threads
) -> None:
    back_up()
    users = [kernel, another_user(kernel, "bo"), another_user(kernel, "cy")]
    found: list[UUID] = []
    is_over = threading.Event()

    def start(user: Kernel) -> None:
        for _ in range(15):
            # The admitters open the queue whenever they find nothing.
            db.row("UPDATE queues SET is_backed_up = true", ())
            user.start(TYPE)

    def cancel() -> None:
        for _ in range(5):
            kernel.cancel(kernel.start(TYPE))

    def admit() -> None:
        while not is_over.is_set():
            if (result := lanes.admit("control", 4)) is not None:
                found.extend(each.workflow_id for each in result.admitted)

    def run_all() -> None:
        in_threads([*[lambda user=user: start(user) for user in users * 2], cancel])
        is_over.set()

    with many_messages(broker):
        in_threads([admit, admit, run_all])
    found += all_admitted()
    sql = "SELECT FROM steps WHERE publish_after = 'infinity' AND status = 'pending'"
    assert db.rows(sql, ()) == []
    assert entries() == 0
    assert set(Counter(found).values()) == {1}
    assert len(found) > 10
    assert db.rows("SELECT FROM lanes WHERE is_waiting", ()) == []
