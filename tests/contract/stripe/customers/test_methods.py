"""Cards that are attached or saved, and what is charged with them while the customer is away."""

import uuid

import pytest
import requests

from app.errors import Permanent, Retryable, Suspend
from app.platform import Json
from tasks.stripe.customers.calls import METHODS, SETUPS
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe.steps import AUTHORIZE, attach_payment_method, card, customer
from tests.contract.stripe.test_authentication import until
from tests.contract.stripe.test_authentication_api import asked, new_key
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive

ASKS = "pm_card_authenticationRequired"
ASKS_ONCE = "pm_card_authenticationRequiredOnSetup"
BACK = "https://shop.example.com/cards"


def saving(claim: Claim, method: str, **more: str) -> Step:
    """A claimed step that saves a card for a new customer."""
    given = {"customer": customer(), "payment_method": method, **more}
    return claim("stripe.save_payment_method", given)


def saved(claim: Claim, vendors: Vendors, method: str) -> Json:
    """A card that was saved while its customer was there."""
    waiting = saving(claim, method, session="on")
    with pytest.raises(Suspend) as caught:
        waiting.run()
    vendors.authenticate(caught.value.external_id)
    return waiting.run(external_id=caught.value.external_id)


def attached(owner: str) -> str:
    """A card that a shop has attached."""
    method = card()
    METHODS.do("attach", method, {"customer": owner}, uuid.uuid4().hex)
    return method


def test_what_a_shop_has_attached_is_not_detached(step: Claim, vendors: Vendors) -> None:
    owner = customer()
    method = attached(owner)
    given = {"customer": owner, "payment_method": method}
    late = step("stripe.attach_payment_method", given)
    assert late.run()["customer"] == owner
    assert late.undo()["result"] == "nothing"
    saves = step("stripe.save_payment_method", given)
    assert saves.run()["payment_method"] == method
    assert saves.undo()["result"] == "nothing"
    with pytest.raises(Permanent) as caught:
        step("stripe.attach_payment_method", given | {"customer": customer()}).run()
    assert caught.value.code == "attached_to_other"
    assert METHODS.retrieve(method)["customer"] == owner


def test_a_card_is_the_steps_before_the_step_has_marked_it(step: Claim, vendors: Vendors) -> None:
    first, second = attach_payment_method(step), attach_payment_method(step)
    vendors.fault("stripe", "payment_methods.update", "status", status=500, count=2)
    for each in (first, second):
        with pytest.raises(Retryable):
            each.run()
    assert first.undo()["result"] == "detached"
    second.run()
    assert vendors.count("payment_methods.attached") == 2
    assert second.undo()["result"] == "detached"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("stripe.attach_payment_method", "stripe.save_payment_method"),
        ("stripe.save_payment_method", "stripe.attach_payment_method"),
    ],
)
def test_a_card_stays_until_the_last_step_that_relies_on_it_is_undone(
    step: Claim, vendors: Vendors, first: str, second: str
) -> None:
    given = {"customer": customer(), "payment_method": card()}
    maker, user = step(first, given), step(second, given)
    maker.run()
    user.run()
    assert [maker.undo()["result"] for _ in range(2)] == ["kept", "kept"]
    assert METHODS.retrieve(given["payment_method"])["customer"] == given["customer"]
    assert [user.undo()["result"] for _ in range(2)] == ["detached", "already"]
    assert maker.undo()["result"] == "already"


def test_a_user_of_a_card_leaves_it_to_its_maker(step: Claim, vendors: Vendors) -> None:
    given = {"customer": customer(), "payment_method": card()}
    maker, user = (step("stripe.attach_payment_method", given) for _ in range(2))
    maker.run()
    user.run()
    assert user.undo()["result"] == "kept"
    assert maker.undo()["result"] == "detached"


def test_a_card_on_which_many_steps_rely_is_not_detached(step: Claim, vendors: Vendors) -> None:
    given = attach_payment_method(step).given
    maker, late = (step("stripe.attach_payment_method", given) for _ in range(2))
    maker.run()
    many = {f"used_by_{number}": "w/s" for number in range(40)}
    METHODS.update(given["payment_method"], {"metadata": many})
    late.run()
    METHODS.update(given["payment_method"], {"metadata": dict.fromkeys(many, "")})
    assert maker.undo()["result"] == "kept"


def test_a_replay_reads_no_card_that_is_attached(step: Claim, vendors: Vendors) -> None:
    done = attach_payment_method(step)
    done.run()
    vendors.fault("stripe", "payment_methods.retrieve", "status", status=403, count=9)
    assert done.run()["customer"] == done.given["customer"]


def test_while_the_customer_is_away_a_card_that_asks_is_not_saved(
    step: Claim, vendors: Vendors
) -> None:
    absent = saving(step, ASKS)
    with pytest.raises(Permanent) as caught:
        absent.run()
    assert caught.value.code == "authentication_required"
    assert [absent.undo()["result"] for _ in range(2)] == ["canceled", "already"]


@pytest.mark.parametrize(
    ("method", "outcome", "code"),
    [
        (ASKS, "fail", "setup_intent_authentication_failure"),
        ("pm_card_chargeDeclined", "", "card_declined"),
    ],
)
def test_a_card_that_is_refused_is_not_saved(
    step: Claim, vendors: Vendors, method: str, outcome: str, code: str
) -> None:
    refused = saving(step, method, session="on")
    if outcome:
        with pytest.raises(Suspend) as waits:
            refused.run()
        vendors.authenticate(waits.value.external_id, outcome)
    with pytest.raises(Permanent) as caught:
        refused.run()
    assert caught.value.code == code
    assert refused.undo()["result"] == "canceled"
    assert vendors.count("payment_methods.attached") == 0


def test_a_card_that_was_set_up_is_charged_while_its_customer_is_away(
    step: Claim, vendors: Vendors
) -> None:
    kept = saved(step, vendors, ASKS_ONCE)
    given = AUTHORIZE | {name: kept[name] for name in ("customer", "payment_method")}
    charged = step("stripe.authorize", given | {"off_session": True})
    assert charged.run()["status"] == "requires_capture"
    assert charged.undo()["result"] == "canceled"
    alone = {name: value for name, value in given.items() if name != "customer"}
    with pytest.raises(Permanent, match="include the Customer"):
        step("stripe.authorize", alone).run()


def test_a_bank_that_asks_each_time_declines_what_is_charged_off_session(
    step: Claim, vendors: Vendors
) -> None:
    kept = saved(step, vendors, ASKS)
    given = AUTHORIZE | {name: kept[name] for name in ("customer", "payment_method")}
    charged = step("stripe.authorize", given | {"off_session": True})
    with pytest.raises(Permanent) as caught:
        charged.run()
    assert caught.value.code == "authentication_required"
    assert vendors.count("authorizations") == 0


def test_a_webhook_wakes_the_step_whose_customer_has_authenticated_a_card(
    kernel: Kernel, vendors: Vendors, front: str
) -> None:
    given = {"customer": customer(), "payment_method": ASKS, "session": "on", "return_url": BACK}
    node = {"step": "save", "action": "stripe.save_payment_method", "with": given}
    workflow = kernel.start(kernel.register({"sequence": [node]}))
    drive()
    told = asked(front, new_key(), workflow, "save").json()
    setup = str(kernel.step(workflow, "save")["external_id"])
    assert told["client_secret"] == SETUPS.retrieve(setup)["client_secret"]
    page = requests.post(
        told["redirect_url"], data={"outcome": "complete"}, allow_redirects=False, timeout=20
    )
    assert page.headers["location"].startswith(f"{BACK}?setup_intent={setup}")
    until(lambda: kernel.workflow(workflow)["status"] == "succeeded")
    assert kernel.step(workflow, "save")["output"]["customer"] == given["customer"]
