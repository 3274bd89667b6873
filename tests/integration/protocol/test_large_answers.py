"""An answer that is too large for its record is kept, and found by whoever needs the record."""

import time
from collections.abc import Iterator
from uuid import UUID

import pytest

from app import db
from app.engine.attempt import execute
from app.engine.call import Call
from app.engine.outcome_writer import record
from app.files.artifacts import Artifacts
from app.payload import MAX_BYTES
from app.platform import (
    Action,
    ActionInput,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Undo,
    action,
)
from app.protocol import intents, outcomes
from app.protocol.claims import Claim, Fenced
from chains.commands.cancel import cancel
from chains.commands.command import Caller
from chains.running.prepare import prepare
from tests.integration.conftest import NOTHING, Kernel

PAY = {"step": "pay", "action": "stripe.capture", "with": {"payment_intent": "pi_1"}}
LETTERS = MAX_BYTES
ANSWER = {"id": "made", "text": "\u00e9" * LETTERS}
"""Twice the limit."""

pytestmark = pytest.mark.usefixtures("agreeing")


class PayInput(ActionInput):
    """The input of the definition's step."""

    payment_intent: str


class Wordy:
    """A vendor with large answers, and an action that calls it; `sent` counts its calls."""

    def __init__(self) -> None:
        self.sent = 0
        self.undone: list[int] = []

    def action(self) -> Action:
        @action("stripe.capture", input=PayInput, effect=Effect.LOOKUP)
        def make(call: Call, _: PayInput) -> Json:
            return {"letters": len(call.once("make", {}, self.send)["text"])}

        @make.looked_up
        def find(_: Call, __: Intent) -> LookupAnswer:
            return Found(ANSWER)

        @make.compensation
        def undo(_: Call, undo: Undo) -> Json:
            self.undone.append(len((undo.response("make") or {"text": ""})["text"]))
            return {}

        return make

    def send(self, _: Json, __: str) -> Json:
        self.sent += 1
        return ANSWER


@pytest.fixture
def wordy() -> Iterator[Wordy]:
    """The vendor, which is never called twice for one effect."""
    vendor = Wordy()
    yield vendor
    assert vendor.sent <= 1


def attempt(vendor: Wordy, claim: Claim) -> None:
    result = execute(claim, vendor.action(), prepare, time.monotonic())
    record(claim, result, fraction=0.0)


def paying(kernel: Kernel) -> UUID:
    return kernel.start(kernel.register({"sequence": [PAY, {"wait": "w", "for": "1h"}]}))


def test_a_replay_gets_a_large_answer_back_and_sends_nothing(kernel: Kernel, wordy: Wordy) -> None:
    workflow = paying(kernel)
    claim = kernel.claim(workflow, "pay")
    first = Call(claim, wordy.action()).once("make", {}, wordy.send)
    assert Call(claim, wordy.action()).once("make", {}, wordy.send) == first == ANSWER
    attempt(wordy, claim)
    step = kernel.step(workflow, "pay")
    assert (step["status"], step["output"]) == ("succeeded", {"letters": LETTERS})
    (intent,) = intents.intents(workflow, "pay")
    assert (intent.resolution, intent.response) == ("accepted", None)
    assert wordy.sent == 1


def test_a_large_answer_that_a_lookup_finds_is_what_the_step_goes_on_from(
    kernel: Kernel, wordy: Wordy
) -> None:
    workflow = paying(kernel)
    claim = kernel.claim(workflow, "pay")
    assert intents.record_intent(claim, 0, "make", {}, "key") is not None
    outcomes.doubt_step(claim, NOTHING, {"code": "x"}, 0.0, None)
    attempt(wordy, kernel.claim(workflow, "pay"))
    assert kernel.step(workflow, "pay")["output"] == {"letters": LETTERS}
    assert wordy.sent == 0


def test_a_compensation_reads_the_large_answer_and_may_run_twice(
    kernel: Kernel, ada: Caller, wordy: Wordy
) -> None:
    workflow = paying(kernel)
    attempt(wordy, kernel.claim(workflow, "pay"))
    cancel(ada, workflow)
    claim = kernel.claim(workflow, "pay~undo")
    step = Artifacts(workflow, "pay", kernel.user_id)
    assert step.written() == [], "a compensation erases what its step has written, and no record"
    execute(claim, wordy.action(), prepare, time.monotonic())
    attempt(wordy, claim)
    assert wordy.undone == [LETTERS, LETTERS]
    assert kernel.step(workflow, "pay")["status"] == "compensated"


def test_a_worker_that_has_lost_its_claim_keeps_no_large_answer(
    kernel: Kernel, wordy: Wordy
) -> None:
    workflow = paying(kernel)
    claim = kernel.claim(workflow, "pay")

    def lose(request: Json, key: str) -> Json:
        db.row("UPDATE steps SET fence = gen_random_uuid() WHERE key = 'pay'", ())
        return wordy.send(request, key)

    with pytest.raises(Fenced):
        Call(claim, wordy.action()).once("make", {}, lose)
    assert db.rows("SELECT id FROM artifacts", ()) == []
    (intent,) = intents.intents(workflow, "pay")
    assert intent.resolution is None
