"""What nobody carries on is found and put right; what somebody carries on is left alone."""

from uuid import UUID

import pytest

from app import db
from app.errors import Conflict
from app.platform import Delivery
from app.protocol import outcomes
from app.protocol.claims import Claim, claim_step
from app.queries import human_tasks
from app.settings import current
from chains.commands.accept_delivery import accept_delivery
from chains.repair import reconcile
from chains.starting.start import Started, start_workflow
from tests.integration.conftest import NOTHING, Kernel
from tests.integration.repair.looking import lapse, look, queued, with_intent
from tests.unit.definitions import noop

pytestmark = pytest.mark.usefixtures("seen_before")


def test_a_lapsed_lease_without_an_intent_runs_again(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    kernel.claim(workflow, "first")
    look(workflow)
    assert kernel.step(workflow, "first")["status"] == "running"
    lapse(workflow, "first")
    look(workflow)
    step = kernel.step(workflow, "first")
    assert (step["status"], step["crashes"], step["tries"]) == ("pending", 1, 0)
    assert isinstance(claim_step(workflow, "first", 30.0), Claim)


def test_a_lapsed_lease_with_an_open_intent_is_an_unknown_outcome(kernel: Kernel) -> None:
    workflow, _ = with_intent(kernel)
    lapse(workflow, "pay")
    look(workflow)
    assert kernel.step(workflow, "pay")["status"] == "unknown"
    assert kernel.claim(workflow, "pay").prior == "unknown"


def test_no_lease_is_expired_for_one_lease_after_everything_stood_still(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    kernel.claim(workflow, "first")
    lapse(workflow, "first")
    db.row("UPDATE reconciler_beat SET beat_at = beat_at - interval '11 seconds'", ())
    look(workflow)
    assert kernel.step(workflow, "first")["status"] == "running"
    # One lease length passes.
    db.row(
        "UPDATE reconciler_beat SET beat_at = beat_at - interval '1 second',"
        " grace_until = grace_until - interval '1 second'",
        (),
    )
    look(workflow)
    assert kernel.step(workflow, "first")["status"] == "pending"


def test_a_lost_message_is_published_again_and_not_before_its_time(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    before = queued()
    look(workflow)
    assert queued() == before
    kernel.due(workflow, "first")
    look(workflow)
    assert queued() == before + 1
    look(workflow)
    assert queued() == before + 1


def test_a_step_that_waits_past_its_poll_time_is_asked_about(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    outcomes.suspend_step(kernel.claim(workflow, "first"), NOTHING, "ext", 3600.0, 7200.0)
    look(workflow)
    assert kernel.step(workflow, "first")["status"] == "waiting"
    db.row("INSERT INTO clock_offset (amount) VALUES ('2 hours')", ())
    look(workflow)
    step = kernel.step(workflow, "first")
    assert (step["status"], step["external_id"]) == ("pending", "ext")
    claimed = kernel.claim(workflow, "first")
    assert claimed.external_id == "ext"
    assert claimed.expired


def test_each_poll_that_finds_nothing_is_followed_by_a_later_one(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    waits = []
    for _ in range(2):
        held = kernel.claim(workflow, "first")
        outcomes.suspend_step(held, NOTHING, "ext", 10.0, 7200.0)
        row = db.row(
            "UPDATE steps SET status = 'pending', wake_at = NULL,"
            " started_at = started_at - interval '5 minutes' WHERE workflow_id = %s"
            " AND key = 'first' RETURNING extract(epoch FROM old.wake_at - playalter_now()) AS s",
            (workflow,),
        )
        assert row is not None
        waits.append(round(row["s"]))
    assert 7 <= waits[0] <= 18
    assert 225 <= waits[1] <= 376


def test_a_step_that_crashes_its_worker_again_and_again_needs_a_person(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    bound = "SELECT min(n) AS n FROM generate_series(1, 99) AS n WHERE is_crashing_v1(n)"
    most = db.row(bound, ())
    assert most is not None
    for number in range(1, most["n"] + 1):
        assert kernel.workflow(workflow)["attention"] is None, number
        kernel.claim(workflow, "first")
        lapse(workflow, "first")
        look(workflow)
    assert kernel.workflow(workflow)["attention"] == "crashing"
    (item,) = human_tasks.attention(kernel.user_id).items
    assert [(step["key"], step["reason"]) for step in item["steps"]] == [("first", "crashing")]
    assert claim_step(workflow, "first", 30.0) is None


def test_a_workflow_over_its_time_out_is_stopped(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register(noop("only"), timeout="1h"))
    db.row("INSERT INTO clock_offset (amount) VALUES ('2 hours')", ())
    look(workflow)
    row = kernel.workflow(workflow)
    assert (row["status"], row["cause"]) == ("failed", "timed_out")


def test_the_next_look_is_never_later_than_what_the_steps_wait_for(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    outcomes.suspend_step(kernel.claim(workflow, "first"), NOTHING, "ext", 120.0, 7200.0)
    look(workflow)
    row = db.row(
        "SELECT w.next_wake_at <= s.wake_at AS is_in_time FROM workflows w JOIN steps s"
        " ON s.workflow_id = w.id AND s.key = 'first' WHERE w.id = %s",
        (workflow,),
    )
    assert row == {"is_in_time": True}


def delivery(number: int = 1) -> Delivery:
    return Delivery(f"delivery-{number}", "ext", "completed", {"n": number})


def test_a_webhook_wakes_the_step_that_waits_for_it_once(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    outcomes.suspend_step(kernel.claim(workflow, "first"), NOTHING, "ext", 3600.0, 7200.0)
    before = queued()
    assert accept_delivery("control", delivery())
    assert kernel.step(workflow, "first")["status"] == "pending"
    assert queued() == before + 1
    assert not accept_delivery("control", delivery())
    assert queued() == before + 1


def test_a_webhook_that_comes_before_the_step_waits_is_found_there(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    held = kernel.claim(workflow, "first")
    accept_delivery("control", delivery())
    outcomes.suspend_step(held, NOTHING, "ext", 3600.0, 7200.0)
    assert outcomes.wake_step(workflow, "first", "control", "ext")
    assert kernel.step(workflow, "first")["status"] == "pending"
    assert not outcomes.wake_step(workflow, "first", "control", "ext")


def test_a_webhook_of_another_platform_wakes_nothing(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    outcomes.suspend_step(kernel.claim(workflow, "first"), NOTHING, "ext", 3600.0, 7200.0)
    accept_delivery("stripe", delivery())
    assert kernel.step(workflow, "first")["status"] == "waiting"


def test_a_paused_workflow_is_neither_published_nor_claimed(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    db.row("UPDATE workflows SET paused_at = now() WHERE id = %s", (workflow,))
    kernel.due(workflow, "first")
    before = queued()
    look(workflow)
    assert queued() == before
    assert claim_step(workflow, "first", 30.0) is None


def test_an_idempotency_key_answers_with_its_first_workflow(kernel: Kernel) -> None:
    def start(input: dict[str, int]) -> Started:
        return start_workflow(
            user_id=kernel.user_id, type="noop_chain", input=input, idempotency_key="key"
        )

    first = start({"n": 1})
    assert first.created
    assert start({"n": 1}) == Started(first.id, created=False)
    with pytest.raises(Conflict, match="with another body"):
        start({"n": 2})


def test_a_poll_that_was_answered_forgives_the_failures_before_it(kernel: Kernel) -> None:
    workflow = kernel.start("noop_chain")
    held = kernel.claim(workflow, "first")
    outcomes.retry_step(held, NOTHING, {"code": "busy"}, 0.0, new_generation=False)
    outcomes.suspend_step(kernel.claim(workflow, "first"), NOTHING, "ext", 60.0, 600.0)
    assert kernel.step(workflow, "first")["tries"] == 0


def test_one_workflow_that_cannot_be_put_right_holds_up_no_other(kernel: Kernel) -> None:
    broken, sound = kernel.start("noop_chain"), kernel.start("noop_chain")
    db.row(
        "INSERT INTO definitions (name, version, body, checksum, active)"
        " VALUES ('broken', 1, '{\"no\": 1}', '', false)",
        (),
    )
    db.row("UPDATE workflows SET type = 'broken' WHERE id = %s", (broken,))
    for workflow in (broken, sound):
        kernel.due(workflow, "first")
        db.row("UPDATE workflows SET next_wake_at = playalter_now() WHERE id = %s", (workflow,))
    before = queued()
    assert reconcile.reconcile() == 2
    assert queued() == before + 1
    assert reconcile.reconcile() == 0


def test_without_redis_leases_are_expired_all_the_same(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = kernel.start("noop_chain")
    kernel.claim(workflow, "first")
    lapse(workflow, "first")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    current.cache_clear()
    look(workflow)
    assert kernel.step(workflow, "first")["status"] == "pending"


def test_a_copy_is_published_only_if_no_message_can_be_left(kernel: Kernel) -> None:
    published, retried = kernel.start("noop_chain"), kernel.start("noop_chain")
    held = kernel.claim(retried, "first")
    outcomes.retry_step(held, NOTHING, {"code": "busy"}, 0.0, new_generation=False)

    def won(workflow: UUID, queue: str, age: str) -> list[str]:
        kernel.due(workflow, "first")
        row = db.row(
            "SELECT won FROM reconcile_workflow_v1(%s, true, '{}', %s,"
            " ARRAY[clock_timestamp() - %s::interval], 15)",
            (workflow, [queue], age),
        )
        assert row is not None
        return list(row["won"])

    # The oldest message of its queue is older: the step's own message may be behind it.
    assert won(published, "control", "1 hour") == []
    at = kernel.step(published, "first")["publish_after"]
    wait = kernel.workflow(published)["next_wake_at"] - at
    assert 10 < wait.total_seconds() < 20, "the look is put off, and not the step's own time"
    assert won(retried, "control", "1 hour") == ["first"], "a retry has no message"
    assert won(retried, "control", "1 hour") == [], "now it has one"
    # All messages of the queue are younger, or the queue is empty: the step's message is lost.
    assert won(published, "control", "0 s") == ["first"]
    assert won(published, "openai", "1 hour") == ["first"]


def test_a_pass_removes_what_is_not_watched_any_more(kernel: Kernel) -> None:
    ids = [kernel.start("noop_chain") for _ in range(2)]
    for id, seconds in zip(ids, (-1, 60), strict=True):
        db.row("SELECT watch_workflows_v1(%s::uuid[], %s)", ([id], seconds))
    reconcile.reconcile()
    assert db.rows("SELECT workflow_id FROM watched_workflows", ()) == [{"workflow_id": ids[1]}]
