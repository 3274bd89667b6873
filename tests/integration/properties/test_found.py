"""Faults found by reading and by the search, each as small as it can be."""

from uuid import UUID

from app import db
from app.protocol import outcomes
from app.protocol.claims import Advance, claim_step
from chains.repair.reconcile import reconcile
from chains.starting import children
from chains.undoing.stop import stop
from tests.integration.conftest import NOTHING, Kernel, Threads
from tests.integration.driving import drive, pass_time
from tests.integration.properties.samples import failing
from tests.integration.properties.world import World
from tests.invariants import broken, holds
from tests.unit.definitions import noop


def finish(world: World, workflow: UUID, key: str) -> str:
    step = world.kernel.step(workflow, key)
    claim = world.claim(step)
    assert claim is not None, key
    return world.attempt(claim)


@holds(17)
def test_what_is_done_while_a_pivot_is_in_doubt_is_followed_when_the_stop_is_refused(
    observing: Kernel,
) -> None:
    world = World(observing)
    workflow = observing.start("with_pivot", {"fails": False, "items": []})
    finish(world, workflow, "first")
    pivot = world.claim(observing.step(workflow, "publish"))
    beside = world.claim(observing.step(workflow, "x"))
    assert pivot is not None
    assert beside is not None
    stop(workflow, "timed_out", {"code": "timed_out"})
    world.attempt(beside)
    world.attempt(pivot)
    assert observing.workflow(workflow)["status"] == "running"
    assert observing.step(workflow, "y")["publish_after"] is not None
    for key in ("y", "bad", "p", "z"):
        finish(world, workflow, key)
    assert observing.workflow(workflow)["status"] == "succeeded"
    assert not broken(db.rows)


def test_a_child_may_take_longer_than_a_day(observing: Kernel) -> None:
    child = observing.register({"wait": "w", "for": "30d"})
    workflow = observing.start(observing.register({"workflow": "child", "type": child}))
    drive()
    for _ in range(3):
        pass_time("2 days")
        drive()
    assert observing.workflow(workflow)["status"] == "running"


@holds(6)
def test_a_child_whose_starter_died_is_stopped_with_its_parent(observing: Kernel) -> None:
    world = World(observing)
    child = observing.register({"wait": "w", "for": "30d"})
    workflow = observing.start(observing.register({"workflow": "child", "type": child}))
    finish(world, workflow, "child")
    # Its starter died after the child was committed and before its intent was resolved.
    db.row("UPDATE intents SET resolution = NULL, response = NULL", ())
    db.row(
        "UPDATE steps SET status = 'running', external_id = NULL, lease_until = clock_timestamp(),"
        " fence = gen_random_uuid() WHERE workflow_id = %s AND key = 'child'",
        (workflow,),
    )
    world.look(workflow)
    assert observing.step(workflow, "child")["status"] == "unknown"
    world.cancel(workflow)
    for _ in range(4):
        world.pass_real_time(200.0)
        world.pass_time(3600.0)
        reconcile()
        drive()
    assert observing.workflow(workflow)["status"] == "compensated"
    (found,) = db.rows("SELECT status FROM workflows WHERE parent_id = %s", (workflow,))
    assert found["status"] == "cancelled"
    assert not broken(db.rows)


@holds(6)
def test_a_child_that_ends_while_its_parent_stops_it_is_undone(
    observing: Kernel, in_threads: Threads
) -> None:
    world = World(observing)
    child = observing.register({**noop("x"), "compensation": {"action": "control.noop"}})
    workflow = observing.start(observing.register({"workflow": "child", "type": child}))
    finish(world, workflow, "child")
    (row,) = db.rows("SELECT id FROM workflows WHERE parent_id = %s", (workflow,))
    held = observing.claim(row["id"], "x")

    def end_slowly() -> None:
        with db.begin() as connection:
            connection.exec_driver_sql(
                "SELECT verdict FROM finish_step_v1(%s, 'x', %s, NULL, '{}', 0, NULL, 'succeeded',"
                " NULL, NULL, NULL, NULL, false, 15)",
                (row["id"], held.fence),
            )
            # The other has read that the child runs, and waits for this transaction.
            _until_somebody_waits()

    def stop() -> None:
        db.row("SELECT pg_sleep(0.2)", ())
        children.stop(workflow, "child")

    in_threads([end_slowly, stop])
    assert observing.workflow(row["id"])["status"] == "compensating"


def _until_somebody_waits() -> None:
    for _ in range(100):
        waiting = db.row("SELECT 1 FROM pg_locks WHERE NOT granted", ())
        if waiting is not None:
            return
        db.row("SELECT pg_sleep(0.02)", ())
    raise AssertionError("nobody waited")


@holds(15)
def test_a_second_message_of_a_done_step_publishes_nothing_while_paused(observing: Kernel) -> None:
    workflow = observing.start("noop_chain")
    outcomes.finish_step(observing.claim(workflow, "first"), NOTHING, outcomes.Finish({}))
    observing.due(workflow, "second")
    db.row("UPDATE workflows SET paused_at = clock_timestamp() WHERE id = %s", (workflow,))
    answer = claim_step(workflow, "first", 30.0)
    assert answer is None or (isinstance(answer, Advance) and not answer.released)


def test_a_steps_time_out_bounds_its_retries(observing: Kernel) -> None:
    step = {
        **failing("a", "`true`"),
        "with": {"kind": "retryable"},
        "retry": {"tries": 1000, "backoff": "30m", "factor": 1, "jitter": 0},
        "timeout": "1h",
    }
    workflow = observing.start(observing.register(step))
    for _ in range(5):
        drive()
        pass_time("31 minutes")
    assert observing.workflow(workflow)["status"] == "failed"
