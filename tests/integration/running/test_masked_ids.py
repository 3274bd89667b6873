"""An id that looks like a card number is recorded masked. Nothing is looked for by what is left."""

import time
from uuid import UUID

import pytest

from app.cards import MASK
from app.engine.attempt import execute
from app.engine.call import Call
from app.engine.outcome_writer import record
from app.platform import (
    Action,
    ActionInput,
    Effect,
    Intent,
    Json,
    LookupAnswer,
    Never,
    Undo,
    action,
)
from app.protocol import intents, outcomes
from chains.commands.cancel import cancel
from chains.commands.command import Caller
from chains.commands.resolve import Resolution, resolve
from chains.running.prepare import prepare
from tests.integration.conftest import NOTHING, Kernel
from tests.integration.driving import statuses

PAY = {"step": "pay", "action": "stripe.capture", "with": {"payment_intent": "pi_1"}}

pytestmark = pytest.mark.usefixtures("agreeing")


class PayInput(ActionInput):
    """The input of the definition's step."""

    payment_intent: str


class Shop:
    """A shop for gift cards, to which a masked number is always unknown."""

    def __init__(self, answer: Json) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def action(self) -> Action:
        @action("stripe.capture", input=PayInput, effect=Effect.LOOKUP)
        def sell(call: Call, _: PayInput) -> Json:
            call.once("sell", {}, lambda _request, _key: self.answer)
            return {"sold": True}

        @sell.looked_up
        def find(_: Call, intent: Intent) -> LookupAnswer:
            self.asked.append(str(intent.request))
            return Never()

        @sell.compensation
        def take_back(_: Call, undo: Undo) -> Json:
            self.asked.append(str(undo.response("sell")))
            return {"result": "already"}

        return sell

    def attempt(self, kernel: Kernel, workflow: UUID, key: str) -> None:
        claim = kernel.claim(workflow, key)
        record(claim, execute(claim, self.action(), prepare, time.monotonic()), fraction=0.0)


def selling(kernel: Kernel) -> UUID:
    return kernel.start(kernel.register({"sequence": [PAY, {"wait": "w", "for": "1h"}]}))


@pytest.mark.parametrize(
    "answer",
    [
        {"card_id": "4242424242424242"},
        {"cards": [{"url": "https://shop.example/4242 4242 4242 4242"}]},
        {"found_at": "https://shop.example/card/4242424242424242?x=1"},
    ],
)
def test_what_was_made_under_a_masked_id_does_not_count_as_undone(
    kernel: Kernel, ada: Caller, answer: Json
) -> None:
    shop, workflow = Shop(answer), selling(kernel)
    shop.attempt(kernel, workflow, "pay")
    cancel(ada, workflow)
    shop.attempt(kernel, workflow, "pay~undo")
    assert shop.asked == []
    undo = kernel.step(workflow, "pay~undo")
    assert (undo["status"], undo["error"]["code"]) == ("failed", "card_number_masked")
    assert "/calls/0/response/" in undo["error"]["message"]
    row = kernel.workflow(workflow)
    assert (row["status"], row["attention"]) == ("compensating", "compensation_failed")
    resolve(ada, workflow, "pay~undo", Resolution("done", "the card was blocked by hand"))
    assert statuses(workflow)["pay"] == "compensated"


def test_a_text_that_is_masked_holds_up_no_undo(kernel: Kernel, ada: Caller) -> None:
    shop = Shop({"id": "made", "card": "4242424242424242", "note": "card 4242424242424242 sold"})
    workflow = selling(kernel)
    shop.attempt(kernel, workflow, "pay")
    cancel(ada, workflow)
    shop.attempt(kernel, workflow, "pay~undo")
    assert len(shop.asked) == 1
    assert MASK.format("4242") in shop.asked[0]
    assert statuses(workflow)["pay"] == "compensated"


def test_a_lookup_by_a_masked_id_proves_nothing(kernel: Kernel) -> None:
    shop, workflow = Shop({}), selling(kernel)
    claim = kernel.claim(workflow, "pay")
    of = {"order": {"card_id": MASK.format("4242")}}
    assert intents.record_intent(claim, 0, "sell", of, "key") is not None
    outcomes.doubt_step(claim, NOTHING, {"code": "x"}, 0.0, None)
    shop.attempt(kernel, workflow, "pay")
    assert shop.asked == []
    (intent,) = intents.intents(workflow, "pay")
    assert intent.resolution is None
    assert kernel.step(workflow, "pay")["status"] == "unknown"
    assert kernel.workflow(workflow)["attention"] == "lookup_refused"
