"""The ledger says what Stripe has done with the customers' money, whatever became of the steps."""

import hashlib
import hmac
import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from app import db
from app.errors import Permanent, Unknown
from app.platform import Delivery, Found, Json
from chains.commands.accept_delivery import accept_delivery
from tasks.stripe import books, webhook
from tasks.stripe.client import api
from tasks.stripe.events.versions import VERSION
from tasks.stripe.paying.payments import AuthorizeInput
from tasks.stripe.settings import StripeSettings
from tests.contract.cases import Claim
from tests.contract.stripe.steps import AUTHORIZE, authorize, capture
from tests.contract.stripe.test_forks import PAYING
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive

AMOUNT: int = AUTHORIZE["amount"]
PAID = 1000
"""The amount of PAYMENT."""


def balances() -> dict[str, int]:
    """The balance of each account that is not 0; all in EUR."""
    rows = db.rows(
        "SELECT account, sum(amount)::bigint AS amount FROM ledger_lines WHERE currency = 'EUR'"
        " GROUP BY account HAVING sum(amount) <> 0",
        (),
    )
    return {row["account"]: row["amount"] for row in rows}


def entries(kind: str) -> list[Json]:
    """The entries of a kind, oldest first."""
    return db.rows("SELECT * FROM ledger_entries WHERE kind = %s ORDER BY id", (kind,))


def test_a_hold_and_its_release_leave_nothing_in_the_books(step: Claim, vendors: Vendors) -> None:
    held = authorize(step)
    held.run()
    assert balances() == {"stripe:authorized": AMOUNT, "stripe:customers_holds": -AMOUNT}
    (entry,) = entries("authorization")
    assert (entry["workflow_id"], entry["step_key"]) == (held.claim.workflow_id, "step")
    assert entry["source"] == "step"
    assert held.undo()["result"] == "canceled"
    assert balances() == {}
    assert held.undo()["result"] == "already"
    assert len(entries("authorization_released")) == 1


def test_a_declined_payment_is_no_fact(step: Claim, vendors: Vendors) -> None:
    declined = step(
        "stripe.authorize", AUTHORIZE | {"payment_method": "pm_card_visa_chargeDeclined"}
    )
    with pytest.raises(Permanent):
        declined.run()
    declined.undo()
    assert db.rows("SELECT 1 FROM ledger_entries", ()) == []


def test_a_capture_and_its_refund_are_revenue_and_refund(step: Claim, vendors: Vendors) -> None:
    taken = capture(step)
    taken.run()
    assert balances() == {"stripe:settling": PAID, "revenue": -PAID}
    assert taken.undo()["result"] == "refunded"
    assert balances() == {"revenue": -PAID, "refunds": PAID}
    assert taken.undo()["result"] == "already"
    (back,) = entries("refund")
    assert back["external_ids"]["payment_intent"] == taken.given["payment_intent"]
    (entry,) = entries("capture")
    assert entry["workflow_id"] == taken.claim.workflow_id
    assert entry["external_ids"]["charge"].startswith("ch_")


@pytest.mark.parametrize("operation", ["payment_intents.create", "payment_intents.capture"])
def test_what_a_lookup_finds_is_booked_although_the_step_never_runs_again(
    step: Claim, vendors: Vendors, operation: str
) -> None:
    made = authorize(step) if operation.endswith("create") else capture(step)
    vendors.fault("stripe", operation, "lost_reply")
    with pytest.raises(Unknown):
        made.run()
    assert balances() == {}
    found = made.look_up()
    assert isinstance(found, Found)
    before = balances()
    assert before != {}
    made.adopt(found)
    made.run()
    assert balances() == before


def test_a_capture_whose_reply_was_lost_is_booked_when_it_is_refunded(
    step: Claim, vendors: Vendors
) -> None:
    taken = capture(step)
    vendors.fault("stripe", "payment_intents.capture", "lost_reply")
    with pytest.raises(Unknown):
        taken.run()
    assert taken.undo()["result"] == "refunded"
    assert balances() == {"revenue": -PAID, "refunds": PAID}


def test_a_lost_refund_is_booked_once(step: Claim, vendors: Vendors) -> None:
    taken = capture(step)
    taken.run()
    vendors.fault("stripe", "refunds.create", "lost_reply")
    with pytest.raises(Unknown):
        taken.undo()
    taken.undo()
    assert balances()["refunds"] == PAID
    assert len(entries("refund")) == 1


def test_the_books_of_a_workflow_that_was_undone_stay_when_its_steps_are_gone(
    kernel: Kernel, vendors: Vendors
) -> None:
    workflow = kernel.start(kernel.register(PAYING), {"fails": True})
    drive()
    kinds = db.rows(
        "SELECT kind, step_key, type FROM ledger_entries WHERE workflow_id = %s ORDER BY id",
        (workflow,),
    )
    assert [(row["kind"], row["step_key"]) for row in kinds] == [
        ("authorization", "hold"),
        ("authorization_released", "take"),
        ("capture", "take"),
        ("refund", "take"),
    ]
    assert {row["type"] for row in kinds} == {kernel.workflow(workflow)["type"]}
    assert balances() == {"revenue": -AMOUNT, "refunds": AMOUNT}


def told(
    kind: str, about: Json, number: int = 0, version: str = VERSION, at: int | None = None
) -> bool:
    """Receive an event of Stripe's about an object, signed; whether it is new."""
    return accept_delivery("stripe", verified(kind, about, number, version, at))


def verified(
    kind: str, about: Json, number: int = 0, version: str = VERSION, at: int | None = None
) -> Delivery:
    """An event of Stripe's about an object, signed and verified."""
    event: Json = {"id": f"evt_{kind}_{number}", "api_version": version, "type": kind}
    event |= {"data": {"object": about}} | ({} if at is None else {"created": at})
    body, now = json.dumps(event).encode(), datetime.now(UTC)
    stamp = str(int(now.timestamp()))
    secret = _secret()
    mac = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return webhook.verify({"stripe-signature": f"t={stamp},v1={mac}"}, body, now)


def _secret() -> bytes:
    return StripeSettings.current().webhook_secret.get_secret_value().encode()


REFUND: Json = {
    "id": "re_1",
    "object": "refund",
    "amount": 300,
    "currency": "eur",
    "charge": "ch_1",
    "payment_intent": "pi_1",
    "balance_transaction": "txn_1",
    "status": "succeeded",
    "created": int(time.time()),
    "metadata": {},
}


@pytest.mark.parametrize("order", [("succeeded", "failed"), ("failed", "succeeded"), ("failed",)])
def test_a_refund_that_failed_later_is_owed_whatever_the_order_of_its_events(
    kernel: Kernel, vendors: Vendors, order: tuple[str, ...]
) -> None:
    for number, status in enumerate((*order, *order)):
        told("refund.updated", REFUND | {"status": status}, number)
    assert balances() == {"refunds": 300, "refunds_failed": -300}
    assert {entry["source"] for entry in entries("refund_failed")} == {"webhook"}


def test_a_refund_that_never_left_the_balance_is_no_fact(kernel: Kernel, vendors: Vendors) -> None:
    waiting = REFUND | {"status": "pending", "balance_transaction": None}
    told("refund.created", waiting)
    told("refund.failed", waiting | {"status": "failed"})
    assert balances() == {}


def test_a_payout_that_comes_back_is_no_payout(kernel: Kernel, vendors: Vendors) -> None:
    paid = {"id": "po_1", "object": "payout", "amount": 700, "currency": "eur", "status": "paid"}
    told("payout.paid", paid)
    assert balances() == {"payouts": 700, "stripe:settling": -700}
    told("payout.failed", paid | {"status": "failed"})
    assert balances() == {}


def charge(**changes: Any) -> Json:
    """A charge that no step of ours has made."""
    return {
        "id": "ch_9",
        "object": "charge",
        "amount": 1000,
        "amount_captured": 0,
        "currency": "eur",
        "captured": False,
        "refunded": False,
        "status": "succeeded",
        "payment_intent": "pi_9",
        "payment_method_details": {"card": {"capture_before": 2}},
        "metadata": {},
    } | changes


def test_a_partial_capture_is_booked_with_what_is_captured() -> None:
    facts = books.charge_facts(charge(captured=True, amount_captured=700))
    assert [(fact.kind, max(line.money.amount for line in fact.lines)) for fact in facts] == [
        ("authorization", 1000),
        ("authorization_released", 1000),
        ("capture", 700),
    ]


def test_a_reference_of_the_shop_is_no_mark_of_a_step() -> None:
    made = charge(captured=True, amount_captured=1000, metadata={"reference": "order-17"})
    facts = books.charge_facts(made)
    assert [fact.kind for fact in facts] == ["authorization", "authorization_released", "capture"]
    assert {fact.reference for fact in facts} == {None}
    step = f"{uuid.uuid4()}/take"
    assert books.charge_facts(made | {"metadata": {"reference": step}}) == []


def test_a_hold_that_expires_is_over(kernel: Kernel, vendors: Vendors) -> None:
    held = authorize_through(kernel)
    made = api().retrieve_payment_intent(held)["latest_charge"]
    told("charge.succeeded", made)
    assert balances()["stripe:authorized"] == AMOUNT
    told("charge.expired", made)
    assert balances() == {}
    (entry,) = entries("authorization_released")
    assert (entry["source"], entry["step_key"]) == ("webhook", "hold")


def test_a_hold_that_is_canceled_elsewhere_is_over(kernel: Kernel, vendors: Vendors) -> None:
    held = authorize_through(kernel)
    canceled = api().cancel_payment_intent(held)
    assert balances()["stripe:authorized"] == AMOUNT
    told("payment_intent.canceled", canceled)
    assert balances() == {}
    assert {entry["source"] for entry in entries("authorization_released")} == {"webhook"}


def test_a_payment_that_was_declined_and_canceled_held_nothing() -> None:
    declined: Json = {
        "id": "pi_1",
        "object": "payment_intent",
        "status": "canceled",
        "amount": AMOUNT,
        "currency": "eur",
        "latest_charge": "ch_1",
    }
    assert len(books.canceled_facts(declined)) == 2
    assert books.canceled_facts(declined | {"last_payment_error": {"code": "card_declined"}}) == []
    assert books.canceled_facts(declined | {"latest_charge": None}) == []


def authorize_through(kernel: Kernel) -> str:
    """Hold an amount by a workflow; the PaymentIntent."""
    workflow = kernel.start(kernel.register(PAYING["sequence"][0]))
    drive()
    return str(kernel.step(workflow, "hold")["output"]["payment_intent"])


def test_an_event_that_cannot_be_read_is_accepted_and_books_nothing(
    kernel: Kernel, vendors: Vendors
) -> None:
    assert told("refund.created", {"object": "refund", "id": "re_2"})
    assert balances() == {}


@pytest.mark.parametrize(
    "odd",
    [
        {"id": 5}, {"id": None}, {"id": ""}, {"id": "re_\x00"}, {"id": "re_\ud800"},
        {"id": "r" * 3000}, {"charge": "ch_\x00"}, {"amount": 10.5}, {"amount": True},
        {"amount": 2**62 + 1}, {"currency": "usdc"}, {"created": 1e400}, {"created": 10**15},
        {"created": "5"},
    ],
    ids=repr,
)  # fmt: skip
def test_an_odd_value_in_an_event_books_nothing_and_fails_nothing(
    kernel: Kernel, vendors: Vendors, odd: Json
) -> None:
    event: Json = {"id": "evt_1", "api_version": VERSION, "type": "refund.created"}
    event |= {"data": {"object": REFUND | odd}}
    delivery = Delivery("evt_1", "re_1", "refund.created", event)
    assert accept_delivery("stripe", delivery)
    assert entries("refund") == []


@pytest.mark.parametrize(("amount", "currency"), [(550, "isk"), (1234, "kwd"), (101, "UGX")])
def test_an_amount_that_stripe_does_not_take_is_refused_before_it_is_asked(
    amount: int, currency: str
) -> None:
    with pytest.raises(ValueError, match=currency.upper()):
        AuthorizeInput.model_validate(AUTHORIZE | {"amount": amount, "currency": currency})
