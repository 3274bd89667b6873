"""More than was held is captured where the bank has agreed, is booked, and is given back whole."""

from datetime import UTC, datetime, timedelta

import pytest

from app.errors import Permanent, Unknown
from app.money.statements import difference_of
from app.platform import Found
from tasks.stripe import statement
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe.steps import AUTHORIZE
from tests.contract.stripe.test_books import balances, entries
from tests.contract.vendors import Vendors

HELD: int = AUTHORIZE["amount"]
MOST = HELD * 115 // 100


def taking(claim: Claim, amount: int, method: str = "pm_card_visa") -> tuple[Step, Step]:
    """A step that has held a payment of which more may be captured, and one that captures."""
    asked = {"payment_method": method, "if_available": ["overcapture"]}
    held = claim("stripe.authorize", AUTHORIZE | asked)
    given = {"payment_intent": held.run()["payment_intent"], "amount": amount}
    return held, claim("stripe.capture", given, forked_from=held.claim.workflow_id)


@pytest.mark.parametrize("is_lost", [True, False])
def test_more_than_the_hold_is_taken_booked_settled_and_given_back(
    step: Claim, vendors: Vendors, is_lost: bool
) -> None:
    held, take = taking(step, MOST)
    made = held.run()
    assert (made["granted"], made["most_amount"]) == (["overcapture"], MOST)
    assert balances() == {"stripe:authorized": HELD, "stripe:customers_holds": -HELD}
    if is_lost:
        vendors.fault("stripe", "payment_intents.capture", "lost_reply")
        with pytest.raises(Unknown):
            take.run()
        found = take.look_up()
        assert isinstance(found, Found)
        take.adopt(found)
    assert take.run()["amount"] == MOST
    assert balances() == {"stripe:settling": MOST, "revenue": -MOST}
    now = datetime.now(UTC)
    page = statement.read(now - timedelta(hours=1), now + timedelta(hours=1), None)
    (movement,) = page.movements
    (capture,) = entries("capture")
    booked = next(fact for fact in movement.told if fact.kind == "capture")
    assert (movement.settles, booked.key) == (capture["fact_key"], capture["fact_key"])
    paid = next(line.money for line in booked.lines if line.account == "stripe:settling")
    assert paid.amount == MOST
    assert difference_of(movement, paid) is None
    assert [take.undo()["result"] for _ in range(2)] == ["refunded", "already"]
    assert [each["amount"] for each in vendors.journal("refunds")] == [MOST]
    assert vendors.count("captures") == 1


@pytest.mark.parametrize(
    ("amount", "method"), [(MOST + 1, "pm_card_visa"), (HELD + 1, "pm_card_mastercard")]
)
def test_no_more_is_taken_than_the_bank_has_agreed_to(
    step: Claim, vendors: Vendors, amount: int, method: str
) -> None:
    held, take = taking(step, amount, method)
    with pytest.raises(Permanent) as refused:
        take.run()
    assert (refused.value.code, vendors.count("captures")) == ("amount_too_large", 0)
    assert (held.run()["most_amount"] is None) == (method != "pm_card_visa")
    assert held.undo()["result"] == "canceled"
    assert balances() == {}
