"""The answer to a step's last call is recorded together with the step's success, or before whatever
else comes first; it is never lost by that."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest

from app import db
from app.engine.attempt import execute
from app.engine.call import Call
from app.engine.moves import Moves, Result
from app.engine.outcome_writer import record
from app.errors import Permanent, Retryable, Suspend
from app.outbound import http
from app.platform import (
    Action,
    ActionInput,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Made,
    Never,
    Undo,
)
from app.protocol import intents, outcomes
from app.protocol.claims import Claim, Fenced
from chains.actions import actions
from chains.commands.cancel import cancel
from chains.commands.command import Caller
from chains.repair.reconcile import reconcile
from chains.running.prepare import prepare
from chains.undoing.settle import settle
from tests.integration.conftest import Kernel
from tests.integration.properties.vendor import AnyInput
from tests.integration.protocol.test_together import OTHERS, behind, held

pytestmark = pytest.mark.usefixtures("agreeing")

KEYS = ("first", "second", "third")
PAID = "stripe.capture"
More = Callable[[Call], object]


@dataclass
class Press:
    """A vendor that prints a page for each call, and an action that calls it once."""

    printed: list[str] = field(default_factory=list)
    more: More | None = None
    """What the action does after the call."""
    effect: Effect = Effect.LOOKUP

    def action(self) -> Action:
        """The action; its lookup and its compensation read the vendor's books."""
        return replace(
            actions()["control.noop"],
            name=PAID,
            input=AnyInput,
            run=self._run,
            effect=self.effect,
            lookup=self._find if self.effect is Effect.LOOKUP else None,
            compensate=self._undo,
            names=lambda operation, response: Made(response.get("page"), response.get("at")),
            quick=False,
        )

    def _run(self, call: Call, _: ActionInput) -> Json:
        made = call.once("pages.print", {"page": 1}, self._print, is_last=True)
        if self.more is not None:
            self.more(call)
        return made

    def _print(self, request: Json, key: str) -> Json:
        self.printed.append(key)
        return {"page": key[:8], "at": f"https://press.example/{key[:8]}"}

    def _find(self, call: Call, intent: Intent) -> LookupAnswer:
        return Found({"page": intent.key[:8]}) if intent.key in self.printed else Never()

    def _undo(self, call: Call, undo: Undo) -> Json:
        return call.once("pages.burn", {}, lambda request, key: {"burnt": True}, is_last=True)


@pytest.fixture
def press() -> Iterator[Press]:
    """The vendor, which prints no page twice."""
    vendor = Press()
    yield vendor
    assert len(vendor.printed) == len(set(vendor.printed))


def three_pages(kernel: Kernel) -> str:
    given = {"payment_intent": "pi_1"}
    pages = [{"step": key, "action": PAID, "with": given} for key in KEYS]
    return kernel.register({"sequence": pages})


@pytest.fixture
def workflow(kernel: Kernel) -> UUID:
    """A workflow of three steps."""
    return kernel.start(three_pages(kernel))


def run(claim: Claim, press: Press) -> Result:
    return execute(claim, press.action(), prepare, time.monotonic())


def resolution(workflow: UUID, key: str = "first") -> tuple[str | None, Json | None]:
    (intent,) = intents.intents(workflow, key)
    return intent.resolution, intent.response


def transactions(workflow: UUID, key: str) -> set[str]:
    """The transactions that wrote the step's row and its intent."""
    found = db.rows(
        "SELECT xmin::text AS id FROM steps WHERE workflow_id = %s AND key = %s UNION ALL"
        " SELECT xmin::text FROM intents WHERE workflow_id = %s AND step_key = %s",
        (workflow, key) * 2,
    )
    return {row["id"] for row in found}


def lapse(claim: Claim) -> None:
    """The worker is dead for longer than its lease."""
    db.row(
        "UPDATE steps SET lease_until = clock_timestamp() - interval '1 ms' WHERE fence = %s",
        (claim.fence,),
    )
    reconcile()
    db.row("UPDATE reconciler_beat SET grace_until = clock_timestamp()", ())
    db.row("UPDATE workflows SET next_wake_at = playalter_now()", ())
    reconcile()


def test_the_answer_and_the_success_are_written_by_one_transaction(
    kernel: Kernel, workflow: UUID, press: Press
) -> None:
    claim: Claim | None = kernel.claim(workflow, "first")
    for key, following in zip(KEYS, (*KEYS[1:], None), strict=True):
        assert claim is not None
        result = run(claim, press)
        assert resolution(workflow, key) == (None, None)
        if following:
            output = result.finish.output
            claim = outcomes.advance_step(claim, result.attempt, output, following, 30.0).claim
        else:
            assert record(claim, result, fraction=0.0).verdict == "completed"
        page = kernel.step(workflow, key)["output"]
        assert resolution(workflow, key) == ("accepted", page)
        assert len(transactions(workflow, key)) == 1
    made = db.rows("SELECT effect_id, effect_address FROM intents", ())
    assert {(row["effect_id"], row["effect_address"]) for row in made} == {
        (key[:8], f"https://press.example/{key[:8]}") for key in press.printed
    }


def test_a_worker_that_dies_with_the_answer_in_its_hand_prints_nothing_twice(
    kernel: Kernel, workflow: UUID, press: Press
) -> None:
    claim = kernel.claim(workflow, "first")
    late = run(claim, press)
    lapse(claim)
    assert kernel.step(workflow, "first")["status"] == "unknown"
    # The lookup must not be asked while the call may still be on its way.
    db.row("UPDATE intents SET first_sent_at = first_sent_at - interval '1 hour'", ())
    again = kernel.claim(workflow, "first")
    assert record(again, run(again, press), fraction=0.0).verdict == "released"
    assert len(press.printed) == 1
    # The worker was not dead, only slow.
    assert record(claim, late, fraction=0.0).verdict == "fenced"
    assert resolution(workflow) == ("accepted", {"page": press.printed[0][:8]})


@pytest.mark.parametrize("is_taking", [False, True])
def test_who_has_lost_the_claim_records_neither_the_answer_nor_the_success(
    kernel: Kernel, workflow: UUID, press: Press, is_taking: bool
) -> None:
    claim = kernel.claim(workflow, "first")
    result = run(claim, press)
    db.row("UPDATE steps SET fence = %s WHERE key = 'first'", (uuid4(),))
    if is_taking:
        done = outcomes.advance_step(claim, result.attempt, {}, "second", 30.0)
    else:
        done = record(claim, result, fraction=0.0)
    assert done.verdict == "fenced"
    assert resolution(workflow) == (None, None)
    assert kernel.step(workflow, "first")["status"] == "running"


def test_a_claim_that_is_lost_between_the_answer_and_what_follows_ends_the_attempt(
    kernel: Kernel, workflow: UUID, press: Press
) -> None:
    def lose(call: Call) -> None:
        db.row("UPDATE steps SET fence = %s WHERE key = 'first'", (uuid4(),))
        with pytest.raises(Fenced):
            call.once("pages.fold", {}, lambda request, key: {})
        raise Retryable("the press is busy", code="busy")

    press.more = lose
    assert run(kernel.claim(workflow, "first"), press).move is Moves.FENCED
    assert resolution(workflow) == (None, None)


def test_a_stop_that_comes_before_the_success_finds_the_answer_to_undo(
    kernel: Kernel, ada: Caller, workflow: UUID, press: Press
) -> None:
    claim = kernel.claim(workflow, "first")
    result = run(claim, press)
    cancel(ada, workflow)
    assert resolution(workflow) == (None, None)
    assert record(claim, result, fraction=0.0).verdict == "draining"
    assert resolution(workflow)[0] == "accepted"
    settle(workflow)
    undoing = kernel.claim(workflow, "first~undo")
    assert record(undoing, run(undoing, press), fraction=0.0).verdict == "undone"
    assert resolution(workflow, "first~undo") == ("accepted", {"burnt": True})
    assert len(transactions(workflow, "first~undo")) == 1


def _fail(error: Exception) -> More:
    def raises(call: Call) -> None:
        raise error

    return raises


def _request(call: Call) -> None:
    with http.operation("press", "look", repeatable=True):
        http.send("GET", "http://127.0.0.1:1")


def _call_again(call: Call) -> None:
    call.once("pages.fold", {}, lambda request, key: {"seen": resolution_of_first(call)})


def resolution_of_first(call: Call) -> str | None:
    return intents.intents(call.workflow_id, call.step_key)[0].resolution


AFTERWARDS: dict[str, More] = {
    "waits": _fail(Suspend("page", poll_seconds=60.0)),
    "is retried": _fail(Retryable("the press is busy", code="busy")),
    "fails": _fail(Permanent("the page is empty", code="empty")),
    "breaks": _fail(ZeroDivisionError()),
    "books a cost": lambda call: call.spend(5, of="page"),
    "asks for files": lambda call: call.artifacts,
    "asks for open calls": lambda call: call.open_intents(),
    "asks for webhooks": lambda call: call.deliveries("page"),
    "claims an object": lambda call: call.claim_object("page", None),
    "asks a platform": _request,
    "calls again": _call_again,
}


@pytest.mark.parametrize("what", AFTERWARDS)
def test_an_answer_is_recorded_before_whatever_else_the_attempt_does(
    kernel: Kernel, workflow: UUID, press: Press, what: str
) -> None:
    seen: list[str | None] = []

    def goes_on(call: Call) -> None:
        assert resolution_of_first(call) is None
        try:
            AFTERWARDS[what](call)
        except Exception:
            seen.append(resolution_of_first(call))
            raise
        seen.append(resolution_of_first(call))

    press.more = goes_on
    result = run(kernel.claim(workflow, "first"), press)
    is_raised_at_once = what in {"waits", "is retried", "fails", "breaks"}
    assert seen == [None if is_raised_at_once else "accepted"]
    assert result.attempt.answer is None
    assert intents.intents(workflow, "first")[0].resolution == "accepted"


def test_a_call_that_only_a_person_could_clear_up_is_recorded_at_once(
    kernel: Kernel, workflow: UUID
) -> None:
    press = Press(effect=Effect.PERSON)
    result = run(kernel.claim(workflow, "first"), press)
    assert (result.move, result.attempt.answer) == (Moves.FINISH, None)
    assert resolution(workflow)[0] == "accepted"


def test_the_answer_is_recorded_before_the_output_of_the_workflow_is_made(
    kernel: Kernel, press: Press
) -> None:
    body = {"step": "first", "action": PAID, "with": {"payment_intent": "pi_1"}}
    name = kernel.register(body, output={"page": {"$": "steps.first.output.page"}})
    workflow = kernel.start(name)
    claim = kernel.claim(workflow, "first")
    result = run(claim, press)
    assert resolution(workflow)[0] == "accepted"
    assert record(claim, result, fraction=0.0).verdict == "completed"


@pytest.mark.parametrize("is_refused", [False, True])
def test_an_outcome_that_postgresql_refuses_does_not_lose_the_answer(
    kernel: Kernel, workflow: UUID, press: Press, is_refused: bool
) -> None:
    claim = kernel.claim(workflow, "first")
    result = run(claim, press)
    status = "nonsense" if is_refused else "succeeded"
    turn = None if is_refused else {"count": "many", "join": "first"}
    finish = replace(result.finish, status=status, turn=turn)
    with pytest.raises(psycopg2.Error):
        outcomes.finish_step(claim, result.attempt, finish)
    assert resolution(workflow)[0] == "accepted"
    assert kernel.step(workflow, "first")["status"] == "running"


def test_answers_travel_with_the_successes_of_several_steps_and_a_lost_claim_holds_up_none(
    kernel: Kernel, press: Press
) -> None:
    name = three_pages(kernel)
    blocked, lost, wrong, *others = [kernel.start(name) for _ in range(OTHERS)]
    claims = [kernel.claim(each, "first") for each in (blocked, lost, wrong, *others)]
    results = [run(each, press) for each in claims]
    db.row("UPDATE steps SET fence = %s WHERE workflow_id = %s", (uuid4(), lost))

    def finishing(claim: Claim, result: Result) -> Callable[[], Any]:
        status = "nonsense" if claim.workflow_id == wrong else "succeeded"
        finish = replace(result.finish, status=status)
        return lambda: outcomes.finish_step(claim, result.attempt, finish)

    def advancing(claim: Claim, result: Result) -> Callable[[], Any]:
        attempt = result.attempt
        return lambda: outcomes.advance_step(claim, attempt, result.finish.output, "second", 30.0)

    with ThreadPoolExecutor(OTHERS + 2) as pool:
        with held(blocked):
            futures = behind(pool, *map(finishing, claims[:3], results[:3]))
        assert [each.result(10).verdict for each in futures[:2]] == ["released", "fenced"]
        with pytest.raises(psycopg2.Error):
            futures[2].result(10)
        first, *rest = others
        with held(first):
            futures = behind(pool, *map(advancing, claims[3:], results[3:]))
        assert {each.result(10).verdict for each in futures} == {"advanced"}
    assert resolution(lost) == (None, None)
    assert resolution(wrong)[0] == "accepted"
    for workflow, result in zip((blocked, *others), (results[0], *results[3:]), strict=True):
        assert resolution(workflow) == ("accepted", result.finish.output)
        assert len(transactions(workflow, "first")) == 1
    assert len({each for workflow in rest for each in transactions(workflow, "first")}) == 1


def test_the_input_of_a_step_is_written_once_with_its_first_intent(
    kernel: Kernel, workflow: UUID, press: Press
) -> None:
    def version() -> Any:
        (row,) = db.rows("SELECT ctid::text AS id, input FROM steps WHERE key = 'first'", ())
        return row

    def calls_twice(call: Call) -> None:
        before = version()
        call.once("pages.fold", {}, lambda request, key: {})
        assert version() == before

    press.more = calls_twice
    claim = kernel.claim(workflow, "first")
    result = run(claim, press)
    assert (result.move, result.attempt.input) == (Moves.FINISH, None)
    assert record(claim, result, fraction=0.0).verdict == "released"
    assert version()["input"] == {"payment_intent": "pi_1"}
