"""Events in another version of Stripe's API than ours: their object is read before it counts."""

import uuid
from typing import Any

import pytest

from app.errors import PlatformUnavailable
from app.platform import Json
from tasks.stripe.client import api
from tasks.stripe.events.completing import completed
from tests.contract.cases import Claim
from tests.contract.stripe.steps import PAYMENT
from tests.contract.stripe.test_books import balances, told, verified
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel

OLD, NEW = "2023-10-16", "2031-01-01.unknown"
VERSIONS = (OLD, NEW)
PAID = {"stripe:settling": 1000, "revenue": -1000}


def taken(**more: Any) -> Json:
    """The charge of a payment of 1000 that a shop has taken."""
    given = PAYMENT | {"capture_method": "automatic"} | more
    made = api().create_payment_intent(given, uuid.uuid4().hex)
    return dict(api().retrieve_payment_intent(made["id"])["latest_charge"])


def older(charge: Json) -> Json:
    """The charge as events of 2023 show it, with its invoice, and with another amount, which tells
    the reader of the event from the reader of the object."""
    refunds = {"object": "list", "data": [], "has_more": False, "url": "/v1/charges/x/refunds"}
    return charge | {
        "invoice": "in_1", "refunds": refunds, "amount": 9900, "amount_captured": 9900,
    }  # fmt: skip


def newer(charge: Json) -> Json:
    """The charge as a version may show it that nobody knows yet."""
    kept = {name: charge[name] for name in ("id", "object", "currency", "metadata")}
    return kept | {"state": "complete", "amounts": {"captured": {"value": "10.00"}}}


@pytest.mark.parametrize(("version", "shape"), [(OLD, older), (NEW, newer)])
def test_a_payment_is_booked_as_stripe_has_it_now(
    kernel: Kernel, vendors: Vendors, version: str, shape: Any
) -> None:
    charge = taken()
    # Stripe does not answer the first read, so that the event must come again.
    vendors.fault("stripe", "charges.retrieve", "status", status=503)
    with pytest.raises(PlatformUnavailable):
        told("charge.succeeded", shape(charge), version=version)
    assert balances() == {}
    assert not told("charge.succeeded", shape(charge), version=version), "it was stored before"
    assert balances() == PAID


def test_a_payment_in_our_version_is_booked_without_a_read(
    kernel: Kernel, vendors: Vendors
) -> None:
    vendors.fault("stripe", "charges.retrieve", "status", status=503)
    assert told("charge.succeeded", taken())
    assert balances() == PAID


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_is_booked_if_the_key_may_not_read_the_object(
    kernel: Kernel, vendors: Vendors, version: str
) -> None:
    charge = taken()
    vendors.fault("stripe", "charges.retrieve", "status", status=403)
    assert told("charge.succeeded", charge, version=version)
    assert balances() == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_refund_has_failed_only_if_stripe_says_so_now(
    kernel: Kernel, vendors: Vendors, version: str
) -> None:
    marks = {"reference": f"{uuid.uuid4()}/take", "generation": "1"}
    given = {"payment_intent": taken()["payment_intent"], "metadata": marks}
    made = api().create_refund(given, uuid.uuid4().hex)
    event = verified("refund.updated", made | {"status": "failed"}, version=version)
    assert (event.failed_undo, completed(event).failed_undo) == (None, None)
    vendors.fail_refunds()
    event = verified("refund.updated", made | {"status": "pending"}, version=version)
    failed = completed(event).failed_undo
    assert failed is not None
    assert (failed.effect_id, failed.reference) == (made["id"], marks["reference"])
    vendors.fault("stripe", "refunds.retrieve", "status", status=403, count=3)
    assert completed(event) == event, "neither Stripe nor the event says that it has failed"
    for kind, shown in (("charge.refund.updated", "failed"), ("refund.failed", "other")):
        event = verified(kind, made | {"status": shown}, version=version)
        unread = completed(event).failed_undo
        assert unread is not None
        assert (unread.effect_id, unread.reference) == (made["id"], marks["reference"])
        assert unread.generation == 1


@pytest.mark.parametrize(
    ("kind", "about", "awaited"),
    [
        ("invoice.paid", {"id": "in_1", "object": "invoice", "payment_intent": "pi_1",
                          "charge": "ch_1", "subscription": "sub_1"}, "in_1"),
        ("customer.subscription.updated", {"id": "sub_1", "object": "subscription",
                                           "current_period_end": 1}, "sub_1"),
    ],
)  # fmt: skip
def test_an_older_event_wakes_the_step_that_waits_for_its_object(
    step: Claim, kind: str, about: Json, awaited: str
) -> None:
    event = verified(kind, about, version=OLD)
    assert event.external_id == awaited
    assert completed(event) == event, "no money follows from it, so that nothing is read"
