"""A customer who is there authenticates a payment while its step waits."""

import time
from collections.abc import Callable
from uuid import UUID

import pytest

from app import db
from app.errors import Permanent, Suspend, Unknown
from app.platform import Found, Json
from tasks.stripe.client import api
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe.steps import AUTHORIZE
from tests.contract.stripe.test_books import AMOUNT, balances
from tests.contract.stripe.test_forks import PAYING
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time, statuses

CARD = "pm_card_authenticationRequired"
DECLINED = "pm_card_threeDSecureRequiredChargeDeclined"
BACK = "https://shop.example.com/thanks"
ON_SESSION: Json = AUTHORIZE | {"payment_method": CARD, "session": "on", "return_url": BACK}


def begun(claim: Claim, **changes: str) -> tuple[Step, str]:
    """A step that waits for its customer, and the PaymentIntent."""
    waiting = claim("stripe.authorize", ON_SESSION | changes)
    with pytest.raises(Suspend) as caught:
        waiting.run()
    return waiting, caught.value.external_id


def test_without_a_customer_such_a_card_is_declined_at_once(step: Claim, vendors: Vendors) -> None:
    absent = step("stripe.authorize", AUTHORIZE | {"payment_method": CARD})
    with pytest.raises(Permanent) as caught:
        absent.run()
    assert caught.value.code == "authentication_required"
    assert (vendors.count("challenges"), vendors.count("authorizations")) == (0, 0)


def test_the_step_waits_until_the_customer_has_authenticated(step: Claim, vendors: Vendors) -> None:
    waiting, payment = begun(step)
    with pytest.raises(Suspend):
        waiting.run(external_id=payment)
    assert balances() == {}
    vendors.authenticate(payment)
    held = waiting.run(external_id=payment)
    assert (held["payment_intent"], held["status"]) == (payment, "requires_capture")
    assert balances() == {"stripe:authorized": AMOUNT, "stripe:customers_holds": -AMOUNT}
    assert vendors.count("payment_intents") == 1
    assert [waiting.undo()["result"] for _ in range(2)] == ["canceled", "already"]
    assert balances() == {}


@pytest.mark.parametrize(
    ("card", "outcome", "code", "decline"),
    [
        (CARD, "fail", "payment_intent_authentication_failure", None),
        (DECLINED, "complete", "card_declined", "generic_decline"),
    ],
)
def test_a_payment_that_is_declined_then_is_permanent_and_cancelled(
    step: Claim, vendors: Vendors, card: str, outcome: str, code: str, decline: str | None
) -> None:
    waiting, payment = begun(step, payment_method=card)
    vendors.authenticate(payment, outcome)
    with pytest.raises(Permanent) as caught:
        waiting.run(external_id=payment)
    told = {"payment_intent": payment, "decline_code": decline}
    assert (caught.value.code, caught.value.detail) == (code, told)
    assert waiting.undo()["result"] == "canceled"
    assert vendors.count("authorizations") == 0


def test_a_payment_that_somebody_cancels_is_waited_for_no_longer(
    step: Claim, vendors: Vendors
) -> None:
    waiting, payment = begun(step)
    api().cancel_payment_intent(payment)
    with pytest.raises(Permanent) as caught:
        waiting.run(external_id=payment)
    assert caught.value.code == "payment_canceled"
    assert waiting.undo()["result"] == "already"


def test_a_wait_whose_beginning_was_lost_is_found(step: Claim, vendors: Vendors) -> None:
    waiting = step("stripe.authorize", ON_SESSION)
    vendors.fault("stripe", "payment_intents.create", "lost_reply")
    with pytest.raises(Unknown):
        waiting.run()
    found = waiting.look_up()
    assert isinstance(found, Found)
    waiting.adopt(found)
    with pytest.raises(Suspend) as caught:
        waiting.run()
    assert caught.value.external_id == found.response["payment_intent"]
    assert vendors.count("payment_intents") == 1


def test_a_way_back_is_only_for_a_customer_who_is_there(step: Claim) -> None:
    action = step("stripe.authorize", ON_SESSION).action
    with pytest.raises(ValueError, match="set session to on"):
        action.input.model_validate(ON_SESSION | {"session": "off"})


def paying(kernel: Kernel, **node: str) -> UUID:
    """Start a workflow whose customer must authenticate; it waits."""
    hold, *rest = PAYING["sequence"]
    waits = hold | {"with": ON_SESSION} | node
    workflow = kernel.start(kernel.register({"sequence": [waits, *rest]}), {"fails": False})
    drive()
    assert statuses(workflow)["hold"] in ("waiting", "pending"), "a webhook may have woken it"
    return workflow


def until(reached: Callable[[], bool]) -> None:
    """Carry workflows on until something is reached, by webhooks only: no time passes for polls."""
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end, "it has not come"
        drive()
        time.sleep(0.02)


def payment_of(kernel: Kernel, workflow: UUID) -> str:
    """The PaymentIntent that a workflow waits for."""
    return str(kernel.step(workflow, "hold")["external_id"])


@pytest.mark.parametrize("outcome", ["complete", "fail"])
def test_a_webhook_wakes_the_workflow_when_the_customer_has_ended(
    kernel: Kernel, vendors: Vendors, front: str, outcome: str
) -> None:
    workflow = paying(kernel)
    # What Stripe tells of the payment before, such as that it waits, ends no wait.
    until(lambda: _deliveries() >= 2 and statuses(workflow)["hold"] == "waiting")
    vendors.authenticate(payment_of(kernel, workflow), outcome)
    until(lambda: kernel.workflow(workflow)["completed_at"] is not None)
    ends = {"complete": "succeeded", "fail": "compensated"}
    assert kernel.workflow(workflow)["status"] == ends[outcome]
    assert vendors.count("captures") == (outcome == "complete")
    assert vendors.count("cancellations") == (outcome == "fail")


def _deliveries() -> int:
    row = db.row("SELECT count(*) AS number FROM webhook_deliveries", ())
    assert row is not None
    return int(row["number"])


def test_a_customer_who_never_comes_pays_nothing(kernel: Kernel, vendors: Vendors) -> None:
    workflow = paying(kernel, timeout="30m")
    for _ in range(3):
        pass_time("20 minutes")
        drive()
    assert kernel.step(workflow, "hold")["error_code"] == "timed_out"
    assert kernel.workflow(workflow)["status"] in ("compensated", "failed")
    assert vendors.count("cancellations") == 1
    assert balances() == {}
