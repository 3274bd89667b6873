"""Steps with heavy expressions wait for their user's share before the expressions are evaluated."""

import gc
import time
from typing import Any
from uuid import UUID

import pytest

from app import db, queries
from app.engine.attempt import execute
from app.engine.moves import Moves
from app.engine.outcome_writer import record
from app.engine.prepared import Prepared
from app.protocol import intents
from app.protocol.claims import Claim
from app.protocol.shares import WAITS_FOR_SHARE
from chains import registry
from chains.actions import actions
from chains.repair.rebuild import differences
from chains.running.fairly import fairly
from chains.running.prepare import prepare
from chains.running.shares import Shares
from chains.running.turns import Turns
from tests.integration.conftest import Kernel
from tests.integration.driving import pass_time
from tests.unit.definitions import noop

NOOP = "control.noop"
HEAVY = f"length({'map(&' * 3}@{f', `{[*range(45)]}`)' * 3}) > `0`"


class Worker:
    """A process whose user has used much more than its share already."""

    def __init__(self, kernel: Kernel, type: str, *, seconds: float = 20.0) -> None:
        self.kernel = kernel
        self.shares = Shares(0.1)
        self.prepared: list[str] = []
        self.turns = Turns()
        self.prepare = fairly(self._prepare, self.shares, self.turns)
        kind = (kernel.user_id, type, 1, "a")
        self.shares.use(kind, seconds, time.monotonic())

    def _prepare(self, claim: Claim) -> Prepared:
        self.prepared.append(claim.key)
        return prepare(claim)

    def attempt(self, claim: Claim) -> Moves:
        """One attempt of a claimed step, recorded."""
        result = execute(claim, actions()[NOOP], self.prepare, time.monotonic())
        record(claim, result, fraction=0.0)
        return result.move


def begun(kernel: Kernel, **rest: Any) -> tuple[UUID, Worker]:
    """A workflow of one step, and a worker in whose process its user has no time left."""
    name = kernel.register({**noop("a", v={"$": "input.v"}), "when": "input.wanted", **rest})
    return kernel.start(name, {"wanted": True, "v": 1}), Worker(kernel, name)


def of_type(kernel: Kernel, workflow: UUID, kind: str) -> list[dict[str, Any]]:
    return [each for each in kernel.events(workflow) if each["type"] == kind]


def test_a_step_waits_before_its_expressions_are_evaluated(kernel: Kernel) -> None:
    workflow, worker = begun(kernel)
    assert worker.attempt(kernel.claim(workflow, "a")) is Moves.PUT_OFF
    assert worker.prepared == []
    row = kernel.step(workflow, "a")
    assert (row["status"], row["error_code"], row["tries"]) == ("pending", WAITS_FOR_SHARE, 0)
    assert row["started_at"] is None, "its time-out counts from its next claim"
    shown = queries.workflow_detail(workflow, kernel.user_id)
    assert "EXPRESSION_SHARE" in shown["steps"][0]["error"]["message"]
    assert shown["status"] == "running"
    assert shown["attention"] is None
    wait = db.row("SELECT wake_at - playalter_now() AS wait FROM steps", ())
    assert wait is not None
    assert 100 < wait["wait"].total_seconds() < 300


def test_a_step_that_waited_runs_in_any_process_and_leaves_one_event(kernel: Kernel) -> None:
    workflow, worker = begun(kernel)
    for _ in range(3):
        worker.attempt(kernel.claim(workflow, "a"))
        pass_time("1 hour")
    assert worker.prepared == []
    (waited,) = of_type(kernel, workflow, "StepRetryScheduled")
    assert waited["data"] == {"code": WAITS_FOR_SHARE, "tries": 0, "generation": 0, "cost": 0}
    assert list(differences(workflow)) == []
    claim = kernel.claim(workflow, "a")
    assert claim.code == WAITS_FOR_SHARE
    # Here the user has used up what a step without a promise may have, but not its whole burst.
    other = Worker(kernel, kernel.workflow(workflow)["type"], seconds=1.2)
    assert other.attempt(claim) is Moves.FINISH
    assert kernel.workflow(workflow)["status"] == "succeeded"
    assert kernel.step(workflow, "a")["error_code"] is None
    assert list(differences(workflow)) == []


def test_each_further_wait_is_longer(kernel: Kernel) -> None:
    workflow, worker = begun(kernel)
    worker.attempt(kernel.claim(workflow, "a"))
    db.row("UPDATE steps SET held_since = held_since - interval '50 minutes'", ())
    pass_time("1 hour")
    worker.attempt(kernel.claim(workflow, "a"))
    wait = db.row("SELECT wake_at - playalter_now() AS wait FROM steps", ())
    assert wait is not None
    assert wait["wait"].total_seconds() > 1400


def test_what_is_no_work_of_a_step_is_not_counted_as_its(kernel: Kernel) -> None:
    """The definition that a process reads for its first step, and a collection of garbage."""
    steps = [noop(f"s{n}", v={"$": "input.v"}) for n in range(300)]
    name = kernel.register({"sequence": steps})
    workflow = kernel.start(name, {"v": 1})
    kept = [{"n": n} for n in range(200_000)]

    def collecting(claim: Claim) -> Prepared:
        gc.collect()
        return prepare(claim)

    shares = Shares(0.1)
    registry.forget()
    fairly(collecting, shares, Turns())(kernel.claim(workflow, "s0"))
    kind = (kernel.user_id, name, 1, "s0")
    assert len(kept) == 200_000
    assert shares.is_asked(kind, time.monotonic()) is False


def test_one_heavy_step_of_a_user_runs_at_a_time(kernel: Kernel) -> None:
    workflow, worker = begun(kernel)
    worker.attempt(kernel.claim(workflow, "a"))
    pass_time("1 hour")
    other = Worker(kernel, kernel.workflow(workflow)["type"], seconds=1.2)
    with other.turns.taken(kernel.user_id):
        assert other.attempt(kernel.claim(workflow, "a")) is Moves.PUT_OFF
    pass_time("1 hour")
    assert other.attempt(kernel.claim(workflow, "a")) is Moves.FINISH


def test_a_step_that_proves_to_be_heavy_breaks_off_while_another_one_runs(kernel: Kernel) -> None:
    name = kernel.register({**noop("a"), "when": HEAVY})
    workflow, worker = kernel.start(name), Worker(kernel, name, seconds=0.0)
    with worker.turns.taken(kernel.user_id):
        assert worker.attempt(kernel.claim(workflow, "a")) is Moves.PUT_OFF
    assert kernel.step(workflow, "a")["error_code"] == WAITS_FOR_SHARE
    pass_time("1 hour")
    assert worker.attempt(kernel.claim(workflow, "a")) is Moves.FINISH


@pytest.mark.parametrize("how", ["called", "fenced", "draining"])
def test_what_else_may_have_become_of_a_step_that_should_wait(kernel: Kernel, how: str) -> None:
    workflow, worker = begun(kernel)
    claim = kernel.claim(workflow, "a")
    if how == "called":
        intents.record_intent(claim, 0, "print", {}, "key")
    elif how == "fenced":
        db.row("UPDATE steps SET fence = gen_random_uuid()", ())
    else:
        kernel.cancel(workflow)
    move = worker.attempt(claim)
    if how == "called":
        assert move is Moves.FINISH, "a call of it was recorded, so that it goes on"
    else:
        assert (move, worker.prepared) == ({"fenced": Moves.FENCED}.get(how, Moves.PUT_OFF), [])


@pytest.mark.parametrize(
    ("node", "rest"),
    [
        ({**noop("a"), "when": HEAVY}, {}),
        (noop("a", v={"$": HEAVY}), {}),
        (noop("a"), {"output": {"v": {"$": HEAVY}}}),
        ({"map": "a", "over": {"$": "input.v"}, "do": noop("b")}, {}),
    ],
    ids=["condition", "input", "output", "rows"],
)
def test_what_counts(kernel: Kernel, node: dict[str, Any], rest: dict[str, Any]) -> None:
    name = kernel.register(node, **rest)
    workflow = kernel.start(name, {"v": [*range(300)]})
    shares = Shares(0.1)
    (step,) = db.rows("SELECT key, action FROM steps WHERE publish_after IS NOT NULL", ())
    kind = (kernel.user_id, name, 1, step["key"])
    assert not shares.is_asked(kind, time.monotonic())
    claim, action = kernel.claim(workflow, step["key"]), actions()[step["action"]]
    execute(claim, action, fairly(prepare, shares, Turns()), time.monotonic())
    assert shares.is_asked(kind, time.monotonic())


def test_a_machine_that_stood_still_makes_no_step_heavy(kernel: Kernel) -> None:
    """The clock of a thread's CPU time goes on while its processor has been taken away."""
    name = kernel.register(noop("a", v={"$": "input.v"}))
    workflow = kernel.start(name, {"v": 1})

    def standing(claim: Claim) -> Prepared:
        end = time.thread_time() + 0.5
        while time.thread_time() < end:
            pass
        return prepare(claim)

    shares = Shares(0.1)
    fairly(standing, shares, Turns())(kernel.claim(workflow, "a"))
    assert not shares.is_asked((kernel.user_id, name, 1, "a"), time.monotonic())
    assert not shares.is_asked((kernel.user_id, name, 1, "b"), time.monotonic())


def test_large_values_count_though_little_is_evaluated(kernel: Kernel) -> None:
    steps = [noop("a", v={"$": "input.v"}), noop("b", n={"$": "length(steps.a.output.v)"})]
    name = kernel.register({"sequence": steps})
    workflow = kernel.start(name, {"v": [{"n": n, "text": "t" * 40} for n in range(15_000)]})
    shares = Shares(0.1)
    fairly(prepare, shares, Turns())(kernel.claim(workflow, "a"))
    assert shares.is_asked((kernel.user_id, name, 1, "a"), time.monotonic())
