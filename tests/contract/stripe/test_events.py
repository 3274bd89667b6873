"""Events at their endpoint, with their object or thin: both wake, book and call a person alike."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from app import db
from app.errors import PlatformUnavailable
from app.platform import Delivery
from app.queries import human_tasks
from app.record import verification
from app.settings import Settings
from chains.commands.accept_delivery import accept_delivery
from chains.commands.command import caller_of
from chains.commands.resolve import dismiss
from chains.repair import rebuild
from tasks.stripe.client import api
from tasks.stripe.events.completing import completed
from tests import invariants
from tests.contract.cases import Claim
from tests.contract.stripe.steps import PAYMENT
from tests.contract.stripe.test_authentication import until
from tests.contract.stripe.test_books import balances, verified
from tests.contract.stripe.test_refunds import PART, REFUNDING
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, statuses

PAYLOADS = ["snapshot", "thin"]


def kinds() -> set[str]:
    """The kinds of the webhooks that are stored."""
    return {row["kind"] for row in db.rows("SELECT kind FROM webhook_deliveries", ())}


@pytest.fixture(params=PAYLOADS)
def payload(request: pytest.FixtureRequest, vendors: Vendors) -> str:
    """What the endpoint has asked for."""
    vendors.change(stripe__event_payload=request.param)
    return str(request.param)


def test_a_dispute_is_booked_from_its_events(
    kernel: Kernel, vendors: Vendors, front: str, payload: str
) -> None:
    # Stripe does not answer the first read, so that the event must come again.
    vendors.fault("stripe", "disputes.retrieve", "status", status=503)
    given = PAYMENT | {"capture_method": "automatic", "payment_method": "pm_card_createDispute"}
    api().create_payment_intent(given, uuid.uuid4().hex)
    prefix = "v1." if payload == "thin" else ""
    until(lambda: f"{prefix}charge.dispute.created" in kinds())
    wanted = {"revenue": -1000, "stripe:disputed": 1000}
    until(lambda: wanted.items() <= balances().items())


def test_a_dispute_is_booked_from_an_event_destination(
    kernel: Kernel,
    vendors: Vendors,
    front: str,
    configure: Callable[..., Settings],
    fresh_database: str,
    valkey_url: str,
) -> None:
    vendors.change(hook_base="")
    names = ("v1.charge.succeeded", "v1.charge.updated", "v1.charge.dispute.created")
    to = vendors.destination(f"{front}/hooks/stripe", *names)
    secret = to["webhook_endpoint"]["signing_secret"]
    configure(DATABASE_URL=fresh_database, REDIS_URL=valkey_url, STRIPE_WEBHOOK_SECRET=secret)
    vendors.ping(to["id"])
    until(lambda: "v2.core.event_destination.ping" in kinds())
    given = PAYMENT | {"capture_method": "automatic", "payment_method": "pm_card_createDispute"}
    api().create_payment_intent(given, uuid.uuid4().hex)
    wanted = {"revenue": -1000, "stripe:disputed": 1000}
    until(lambda: wanted.items() <= balances().items())
    assert kinds() <= {*names, "v2.core.event_destination.ping"}


def thin(kind: str, related: str) -> Delivery:
    """A thin event about an object."""
    of = kind.split(".")[1] if ".dispute." not in kind else "dispute"
    about = {"id": related, "type": of, "url": f"/v1/{of}s/{related}"}
    event = {"object": "v2.core.event", "id": "evt_1", "type": kind, "related_object": about}
    return Delivery("evt_1", related, kind, event)


def test_an_event_is_not_asked_for_again_whose_object_the_key_may_not_read(
    step: Claim, vendors: Vendors
) -> None:
    told = thin("v1.charge.dispute.created", "du_1")
    vendors.fault("stripe", "disputes.retrieve", "status", status=403)
    assert completed(told) == told
    vendors.fault("stripe", "disputes.retrieve", "status", status=503)
    with pytest.raises(PlatformUnavailable):
        completed(told)


def test_a_payment_is_read_only_for_the_event_that_books(step: Claim, vendors: Vendors) -> None:
    payment = api().create_payment_intent(PAYMENT, uuid.uuid4().hex)["id"]
    for kind in ("created", "amount_capturable_updated"):
        told = thin(f"v1.payment_intent.{kind}", payment)
        assert completed(told) == told
    seen = completed(thin("v1.payment_intent.canceled", payment)).payload
    assert seen["data"]["object"]["id"] == payment


def test_a_waiting_step_is_woken_and_its_late_failure_calls_a_person(
    kernel: Kernel, vendors: Vendors, front: str, payload: str
) -> None:
    vendors.change(stripe__refund_status="pending")
    workflow = kernel.start(kernel.register(REFUNDING), {"fails": False})
    drive()
    assert statuses(workflow)["back"] in ("waiting", "pending")
    vendors.change(stripe__refund_status="succeeded")
    # The imitated Stripe ends its refunds when somebody reads them.
    api().refunds_of(kernel.step(workflow, "hold")["output"]["payment_intent"])

    def has_succeeded() -> Any:
        drive()
        return kernel.workflow(workflow)["status"] == "succeeded"

    until(has_succeeded)
    assert kernel.workflow(workflow)["attention"] is None

    vendors.fail_refunds()
    until(lambda: kernel.workflow(workflow)["attention"] == "effect_failed")
    until(lambda: balances().get("refunds_failed") == -PART)
    assert kernel.workflow(workflow)["status"] == "succeeded"
    (told,) = human_tasks.attention(kernel.user_id).items
    (step,) = told["steps"]
    assert (step["key"], step["status"], step["reason"]) == ("back", "succeeded", "effect_failed")
    assert "must be paid otherwise" in step["error"]["message"]
    failures = [each for each in kernel.events(workflow) if each["type"] == "EffectFailed"]
    assert len(failures) == 1, "two webhooks tell the same"

    dismiss(caller_of(kernel.user_id), workflow, "paid by bank transfer", seen=told["seen"])
    assert kernel.workflow(workflow)["attention"] is None
    assert human_tasks.attention(kernel.user_id).items == []
    assert (list(verification.verify()), list(rebuild.differences())) == ([], [])
    assert invariants.broken(db.rows, [workflow]) == []


@pytest.mark.parametrize("form", ["thin", "2031-01-01.unknown"])
def test_a_refund_that_fails_later_calls_a_person_although_the_key_may_not_read_it(
    kernel: Kernel, vendors: Vendors, form: str
) -> None:
    workflow = kernel.start(kernel.register(REFUNDING), {"fails": False})
    drive()
    assert kernel.workflow(workflow)["status"] == "succeeded"
    refund = str(kernel.step(workflow, "back")["output"]["refund"])
    vendors.fault("stripe", "refunds.retrieve", "status", status=403, count=3)
    told = thin("v1.refund.failed", refund)
    if form != "thin":
        told = verified("refund.failed", {"id": refund, "object": "refund"}, version=form)
    for _ in range(2):
        accept_delivery("stripe", told)
    row = kernel.workflow(workflow)
    assert (row["status"], row["attention"]) == ("succeeded", "effect_failed")
    (failure,) = [each for each in kernel.events(workflow) if each["type"] == "EffectFailed"]
    assert (failure["step"], failure["data"]["external_id"]) == ("back", refund)
    assert "must be paid otherwise" in failure["data"]["message"]
    assert "refunds_failed" not in balances(), "what is not read is not booked"
    (item,) = human_tasks.attention(kernel.user_id).items
    dismiss(caller_of(kernel.user_id), workflow, "paid by bank transfer", seen=item["seen"])
    accept_delivery("stripe", told)
    assert kernel.workflow(workflow)["attention"] is None, "it is told once"
