"""A capture of a part takes that part only, and gives back no more than it has taken."""

import uuid
from dataclasses import replace

import pytest

from app.errors import Permanent, Unknown
from app.platform import Found, Json, Never
from tasks.stripe.client import api
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe.steps import PAYMENT, capture
from tests.contract.stripe.test_books import balances, entries
from tests.contract.stripe.test_forks import PAYING
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, statuses

HELD, PART = 1000, 300
"""What PAYMENT holds, and what is taken of it."""


def part(claim: Claim, taken: int = PART, **payment: str | int) -> Step:
    """A claimed step that captures a part of a payment."""
    held = api().create_payment_intent({**PAYMENT, **payment}, uuid.uuid4().hex)
    return claim("stripe.capture", {"payment_intent": held["id"], "amount": taken})


def test_a_part_is_taken_and_the_rest_is_released(step: Claim, vendors: Vendors) -> None:
    taken = part(step)
    assert taken.run()["amount"] == PART
    seen = api().retrieve_payment_intent(taken.given["payment_intent"])
    assert (seen["status"], seen["amount_received"], seen["amount"]) == ("succeeded", PART, HELD)
    assert balances() == {"stripe:settling": PART, "revenue": -PART}
    assert taken.run()["amount"] == PART
    assert vendors.count("captures") == 1


def test_only_what_was_taken_is_refunded_once(step: Claim, vendors: Vendors) -> None:
    taken = part(step)
    taken.run()
    assert [taken.undo()["result"] for _ in range(2)] == ["refunded", "already"]
    assert [each["amount"] for each in vendors.journal("refunds")] == [PART]
    assert balances() == {"revenue": -PART, "refunds": PART}


def test_a_part_whose_reply_was_lost_is_found_with_its_amount(
    step: Claim, vendors: Vendors
) -> None:
    taken = part(step)
    vendors.fault("stripe", "payment_intents.capture", "lost_reply")
    with pytest.raises(Unknown):
        taken.run()
    found = taken.look_up()
    assert isinstance(found, Found)
    assert balances() == {"stripe:settling": PART, "revenue": -PART}
    taken.adopt(found)
    assert taken.run()["amount"] == PART
    assert len(entries("capture")) == 1


def test_a_part_whose_reply_was_lost_is_refunded_without_a_lookup(
    step: Claim, vendors: Vendors
) -> None:
    taken = part(step)
    vendors.fault("stripe", "payment_intents.capture", "lost_reply")
    with pytest.raises(Unknown):
        taken.run()
    assert taken.undo()["result"] == "refunded"
    assert [each["amount"] for each in vendors.journal("refunds")] == [PART]


def test_more_than_is_held_is_refused_and_nothing_is_taken(step: Claim, vendors: Vendors) -> None:
    greedy = part(step, HELD + 1)
    with pytest.raises(Permanent) as caught:
        greedy.run()
    assert caught.value.code == "amount_too_large"
    assert greedy.undo()["result"] == "nothing"
    assert (vendors.count("captures"), vendors.count("refunds")) == (0, 0)


def test_an_amount_that_the_currency_does_not_have_is_refused_before_stripe_is_asked(
    step: Claim, vendors: Vendors
) -> None:
    odd = part(step, 550, currency="isk", amount=10_000)
    with pytest.raises(Permanent, match="ISK must end in 00") as caught:
        odd.run()
    assert caught.value.code == "amount_invalid"
    assert vendors.count("captures") == 0
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        odd.action.input.model_validate(odd.given | {"amount": 0})


def test_a_retried_step_takes_no_second_part_for_the_first(step: Claim, vendors: Vendors) -> None:
    taken = part(step)
    taken.run()
    more: Json = taken.given | {"amount": 500}
    again = replace(taken.retried(), given=more)
    with pytest.raises(Permanent) as caught:
        again.run()
    assert caught.value.code == "already_captured"
    assert "3.00 EUR" in caught.value.message
    assert again.undo()["result"] == "refunded"
    assert [each["amount"] for each in vendors.journal("refunds")] == [PART]


def test_a_lookup_does_not_take_another_amount_for_its_own(step: Claim, vendors: Vendors) -> None:
    taken = capture(step)
    vendors.fault("stripe", "payment_intents.capture", "lost_reply")
    with pytest.raises(Unknown):
        taken.run()
    intent = taken.open_intent()
    assert isinstance(taken.look_up(), Found)
    other = replace(intent, request=intent.request | {"amount_to_capture": PART})
    assert isinstance(taken.look_up(other), Never)


def test_what_somebody_else_has_taken_a_part_of_is_left_alone(
    step: Claim, vendors: Vendors
) -> None:
    options = {"card": {"request_multicapture": "if_available"}}
    asked = {**PAYMENT, "payment_method_options": options}
    held = api().create_payment_intent(asked, "multi")["id"]
    first = {"payment_intent": held, "amount_to_capture": 200, "final_capture": False}
    api().capture_payment_intent(first, "a shop's")
    late = step("stripe.capture", {"payment_intent": held})
    with pytest.raises(Permanent, match=r"2\.00 EUR of the payment are captured already"):
        late.run()
    assert late.undo()["result"] == "nothing"
    assert vendors.count("refunds") == 0


def test_a_workflow_that_took_a_part_gives_the_part_back(kernel: Kernel, vendors: Vendors) -> None:
    hold, take, *rest = PAYING["sequence"]
    some = take | {"with": take["with"] | {"amount": {"$": "input.amount"}}}
    paying = kernel.register({"sequence": [hold, some, *rest]})
    kept = kernel.start(paying, {"fails": False, "amount": PART})
    undone = kernel.start(paying, {"fails": True, "amount": PART})
    drive()
    assert kernel.workflow(kept)["status"] == "succeeded"
    assert kernel.step(kept, "take")["output"]["amount"] == PART
    assert kernel.workflow(undone)["status"] == "compensated"
    assert statuses(undone)["hold"] == "compensated"
    assert [each["amount"] for each in vendors.journal("refunds")] == [PART]
    assert balances() == {"stripe:settling": PART, "revenue": -2 * PART, "refunds": PART}
