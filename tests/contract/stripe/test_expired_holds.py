"""A hold ends by itself: the output says when, and a capture after that says so."""

from datetime import UTC, datetime, timedelta

import pytest

from app.errors import Permanent
from app.platform import Json
from tasks.stripe.client import api
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe.steps import AUTHORIZE
from tests.contract.vendors import Vendors

WEEK = timedelta(days=7)


def held(claim: Claim, **more: list[str]) -> tuple[Json, Step]:
    """A hold, and a claimed step that captures it."""
    first = claim("stripe.authorize", AUTHORIZE | more)
    made = first.run()
    given = {"payment_intent": made["payment_intent"]}
    return made, claim("stripe.capture", given, forked_from=first.claim.workflow_id)


def test_a_capture_after_the_hold_has_expired_says_so(step: Claim, vendors: Vendors) -> None:
    made, late = held(step)
    ends = datetime.fromisoformat(made["capture_before"])
    assert WEEK - timedelta(minutes=5) < ends - datetime.now(UTC) <= WEEK
    assert made["granted"] == []
    vendors.advance(WEEK.total_seconds() + 60)
    with pytest.raises(Permanent, match="its hold has expired") as caught:
        late.run()
    assert caught.value.code == "hold_expired"
    assert late.undo()["result"] == "nothing"


def test_an_extended_hold_can_be_captured_after_a_week(step: Claim, vendors: Vendors) -> None:
    made, late = held(step, if_available=["extended_authorization"])
    assert made["granted"] == ["extended_authorization"]
    vendors.advance(WEEK.total_seconds() + 60)
    assert late.run()["amount"] == AUTHORIZE["amount"]


def test_a_capture_of_a_canceled_payment_says_who_has_canceled(
    step: Claim, vendors: Vendors
) -> None:
    made, late = held(step)
    api().cancel_payment_intent(made["payment_intent"])
    with pytest.raises(Permanent, match="it was canceled") as caught:
        late.run()
    assert caught.value.code == "payment_canceled"
