"""Several steps capture a part each of one payment, and each gives back its own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.errors import NotServed, Permanent, Unknown
from app.money.statements import difference_of
from app.platform import Found, Json
from tasks.stripe import books, statement
from tasks.stripe.client import api
from tasks.stripe.events.versions import VERSION
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe.steps import AUTHORIZE, PAYMENT
from tests.contract.stripe.test_books import balances, entries
from tests.contract.vendors import Vendors

WHOLE: int = AUTHORIZE["amount"]


class Payment:
    """A payment of which several steps may capture a part."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.held = claim("stripe.authorize", AUTHORIZE | {"if_available": ["multicapture"]})
        self.made = self.held.run()

    def part(self, amount: int, *, final: bool = False) -> Step:
        """A claimed step that captures a part."""
        given = {"payment_intent": self.made["payment_intent"], "amount": amount, "final": final}
        origin = self.held.claim.workflow_id
        return self.claim("stripe.capture", given, forked_from=origin)


def test_each_step_takes_its_part_and_gives_it_back(step: Claim, vendors: Vendors) -> None:
    payment = Payment(step)
    assert payment.made["granted"] == ["multicapture"]
    first, second, last = payment.part(1000), payment.part(1000), payment.part(500, final=True)
    assert [each.run()["amount"] for each in (first, second, last)] == [1000, 1000, 500]
    assert second.run()["amount"] == 1000, "a replay takes nothing"
    assert balances() == {"stripe:settling": 2500, "revenue": -2500}
    assert [second.undo()["result"] for _ in range(2)] == ["refunded", "already"]
    assert [each["amount"] for each in vendors.journal("refunds")] == [1000]
    assert payment.held.undo()["result"] == "superseded"
    assert vendors.count("captures") == 3
    assert {each["step_key"] for each in entries("capture")} == {"step"}
    assert len({each["workflow_id"] for each in entries("capture")}) == 3


def test_the_statement_settles_each_part(step: Claim, vendors: Vendors) -> None:
    payment = Payment(step)
    payment.part(1000).run()
    payment.part(700, final=True).run()
    now = datetime.now(UTC)
    page = statement.read(now - timedelta(hours=1), now + timedelta(hours=1), None)
    booked = {each["fact_key"] for each in entries("capture")}
    assert {each.settles for each in page.movements} == booked
    assert len(booked) == 2
    for each in page.movements:
        (told,) = each.told
        paid = next(line.money for line in told.lines if line.account == "stripe:settling")
        assert paid.amount in (1000, 700)
        assert difference_of(each, paid) is None


def test_a_part_whose_reply_was_lost_is_found_and_not_taken_twice(
    step: Claim, vendors: Vendors
) -> None:
    payment = Payment(step)
    lost = payment.part(1000)
    vendors.fault("stripe", "payment_intents.capture", "lost_reply")
    with pytest.raises(Unknown):
        lost.run()
    payment.part(700).run()
    found = lost.look_up()
    assert isinstance(found, Found)
    lost.adopt(found)
    assert lost.run()["amount"] == 1000
    assert balances()["stripe:settling"] == 1700
    assert payment.held.undo()["result"] == "canceled", "the rest of the hold is released"
    assert balances() == {"stripe:settling": 1700, "revenue": -1700}


def test_a_step_that_is_tried_again_takes_another_part_and_gives_both_back(
    step: Claim, vendors: Vendors
) -> None:
    payment = Payment(step)
    first = payment.part(1000)
    first.run()
    again = replace(first.retried(), given=first.given | {"amount": 300})
    assert again.run()["amount"] == 300
    assert again.undo()["result"] == "refunded"
    assert [each["amount"] for each in vendors.journal("refunds")] == [1300]


def test_a_part_needs_what_was_granted_and_is_left_alone_by_a_whole_capture(
    step: Claim, vendors: Vendors
) -> None:
    payment = Payment(step)
    payment.part(1000).run()
    rest: Json = {"payment_intent": payment.made["payment_intent"]}
    whole = step("stripe.capture", rest, forked_from=payment.held.claim.workflow_id)
    with pytest.raises(Permanent) as caught:
        whole.run()
    assert caught.value.code == "already_captured"
    assert "by other steps, in parts" in caught.value.message
    assert whole.undo()["result"] == "nothing"
    alone = step("stripe.authorize", AUTHORIZE)
    given = {"payment_intent": alone.run()["payment_intent"], "amount": 100, "final": False}
    refused = step("stripe.capture", given, forked_from=alone.claim.workflow_id)
    with pytest.raises(Permanent, match="multicapture"):
        refused.run()
    assert refused.undo()["result"] == "nothing"


def test_what_somebody_else_has_taken_is_no_part_of_a_step(step: Claim, vendors: Vendors) -> None:
    payment = Payment(step)
    shop = {"payment_intent": payment.made["payment_intent"], "amount_to_capture": 200}
    api().capture_payment_intent(shop | {"final_capture": False}, "a shop's")
    late = payment.part(100)
    with pytest.raises(Permanent) as caught:
        late.run()
    assert caught.value.code == "already_captured"


def test_parts_that_no_step_has_taken_are_told_by_the_statement(
    step: Claim, vendors: Vendors
) -> None:
    options = {"card": {"request_multicapture": "if_available"}}
    made = api().create_payment_intent({**PAYMENT, "payment_method_options": options}, "shop")
    for amount, final in ((300, False), (200, True)):
        part = {"payment_intent": made["id"], "amount_to_capture": amount, "final_capture": final}
        api().capture_payment_intent(part, f"shop {amount}")
    now = datetime.now(UTC)
    page = statement.read(now - timedelta(hours=1), now + timedelta(hours=1), None)
    told = {each.settles: each.told[0].lines for each in page.movements}
    assert sorted(abs(lines[0].money.amount) for lines in told.values()) == [200, 300]
    assert [difference_of(each, None) for each in page.movements] == [None, None]


def test_parts_that_are_captured_at_the_same_moment_are_booked_by_their_amounts(
    step: Claim, vendors: Vendors
) -> None:
    payment = Payment(step)
    first, second = payment.part(1000), payment.part(700)
    vendors.fault("stripe", "payment_intents.capture", "status", status=429)
    with pytest.raises(NotServed):
        second.run()
    first.run()
    assert second.run()["amount"] == 700, "it has listed the transactions before the first part"
    assert second.run()["amount"] == 700
    assert balances()["stripe:settling"] == 1700
    by = {str(each["workflow_id"]): each["fact_key"] for each in entries("capture")}
    assert set(by) == {str(each.claim.workflow_id) for each in (first, second)}


def test_equal_parts_are_booked_once_each(step: Claim, vendors: Vendors) -> None:
    payment = Payment(step)
    first, second = payment.part(1000), payment.part(1000)
    vendors.fault("stripe", "payment_intents.capture", "status", status=429)
    with pytest.raises(NotServed):
        second.run()
    for each in (first, second, first, second):
        each.run()
    assert balances()["stripe:settling"] == 2000


def test_a_hold_that_ends_by_itself_after_a_part_is_released(step: Claim, vendors: Vendors) -> None:
    payment = Payment(step)
    payment.part(1000).run()
    assert balances()["stripe:authorized"] == WHOLE
    vendors.advance(8 * 86400)
    seen = api().retrieve_payment_intent(payment.made["payment_intent"])
    charge = seen["latest_charge"]
    assert (seen["status"], charge["captured"]) == ("succeeded", True)
    event = {"api_version": VERSION, "type": "charge.captured", "data": {"object": charge}}
    told = books.event_facts(event)
    assert [each.kind for each in told] == ["authorization", "authorization_released"]
    assert payment.held.undo()["result"] == "superseded"
    assert balances() == {"stripe:settling": 1000, "revenue": -1000}


def test_the_rest_is_released_without_another_part(step: Claim, vendors: Vendors) -> None:
    payment = Payment(step)
    payment.part(1000).run()
    last = payment.part(0, final=True)
    assert [last.run()["amount"] for _ in range(2)] == [0, 0]
    assert balances() == {"stripe:settling": 1000, "revenue": -1000}
    assert last.undo()["result"] == "nothing"
    with pytest.raises(ValueError, match="a final capture may take 0"):
        last.action.input.model_validate(last.given | {"final": False})


def test_a_part_that_is_refunded_already_is_undone(step: Claim, vendors: Vendors) -> None:
    payment = Payment(step)
    part = payment.part(1000)
    part.run()
    given = {"payment_intent": payment.made["payment_intent"]}
    step("stripe.refund", given, forked_from=payment.held.claim.workflow_id).run()
    seen = api().retrieve_payment_intent(given["payment_intent"])
    assert not seen["latest_charge"]["refunded"], "more may be captured of it"
    assert part.undo() == {"result": "already", "refund": None}
    assert vendors.count("refunds") == 1


def test_a_list_that_cannot_be_read_holds_up_no_refund(step: Claim, vendors: Vendors) -> None:
    payment = Payment(step)
    part = payment.part(1000)
    part.run()
    vendors.fault("stripe", "balance_transactions.list", "status", status=403, count=9)
    assert part.undo()["result"] == "refunded"


def test_a_replay_reads_nothing_before_its_record(step: Claim, vendors: Vendors) -> None:
    payment = Payment(step)
    part = payment.part(1000)
    part.run()
    vendors.fault("stripe", "payment_intents.retrieve", "status", status=400, count=9)
    assert part.run()["amount"] == 1000
