"""The examples of the guide: events of Stripe start the workflows that answer them."""

import json
import uuid
from uuid import UUID

import pytest

from app import clock, db
from app.platform import Json
from chains.catalogue import versions
from chains.incoming import sources, triggers
from chains.incoming.hooked import Places
from chains.incoming.verification import HMAC, Scheme
from tasks.stripe.client import api
from tests.contract.stripe import selling
from tests.contract.stripe.cases import sign
from tests.contract.stripe.steps import PAYMENT
from tests.contract.vendors import Vendors
from tests.integration.conftest import Kernel
from tests.integration.driving import drive
from tests.unit.documents import CHECKOUT, blocks

GUIDE = CHECKOUT / "ops" / "guide" / "stripe-events.md"
SECRET = "whsec_of_a_source_of_its_own"


def taken(amount: int, card: str) -> str:
    """A payment that a shop has taken by a card."""
    given = PAYMENT | {"capture_method": "automatic", "payment_method": card, "amount": amount}
    return str(api().create_payment_intent(given, uuid.uuid4().hex)["id"])


def source(user_id: UUID) -> str:
    """The path of a source for Stripe's webhooks, as ops/guide/events-in.md shows it."""
    scheme = Scheme(
        header="Stripe-Signature",
        signed="{timestamp}.{body}",
        signature_key="v1",
        timestamp_key="t",
    )
    places = Places(
        "stripe", id_expression="body.id", type_expression="body.type", type_prefix="stripe."
    )
    made = sources.create(user_id, sources.Wanted(HMAC, places, scheme), SECRET)
    return str(made["path"])


def send(path: str, kind: str) -> None:
    """Send each event of the kind to the source, twice, as Stripe does now and then."""
    listed = selling.ask(lambda v1: v1.events.list({"type": kind}))
    for event in listed["data"] * 2:
        now = clock.now()
        body = json.dumps(event).encode()
        sources.take_webhook(path, sign(body, now, SECRET), body, now)
    drive()


def started(kind: str) -> list[Json]:
    """The workflows of a type, with the statuses of their steps."""
    return db.rows(
        "SELECT w.status, s.key, s.status AS step FROM workflows w JOIN steps s"
        " ON s.workflow_id = w.id WHERE w.type = %s AND s.action LIKE 'stripe.%%'"
        " ORDER BY w.id, s.position",
        (kind,),
    )


@pytest.mark.parametrize(("amount", "answer"), [(1000, "accept"), (2000, "stage")])
def test_a_dispute_starts_the_workflow_that_answers_it(
    kernel: Kernel, vendors: Vendors, amount: int, answer: str
) -> None:
    definition, trigger, *_ = map(json.loads, blocks(GUIDE, "json"))
    versions.register(definition, activates=True)
    name = trigger.pop("name")
    triggers.create(kernel.user_id, name, triggers.Wanted(**trigger))
    taken(amount, "pm_card_createDispute")
    send(source(kernel.user_id), "charge.dispute.created")
    found = {row["key"]: row["step"] for row in started("answer_dispute")}
    assert [found.pop(each) for each in ("seen", answer)] == ["succeeded"] * 2
    assert set(found.values()) == {"skipped"}
    assert vendors.count("disputes_accepted") == int(answer == "accept")


def test_a_warning_starts_the_workflow_that_refunds(kernel: Kernel, vendors: Vendors) -> None:
    *_, definition, trigger = map(json.loads, blocks(GUIDE, "json"))
    versions.register(definition, activates=True)
    name = trigger.pop("name")
    triggers.create(kernel.user_id, name, triggers.Wanted(**trigger))
    taken(1000, "pm_card_createIssuerFraudRecord")
    send(source(kernel.user_id), "radar.early_fraud_warning.created")
    assert [(row["status"], row["step"]) for row in started("refund_warned")] == [
        ("succeeded", "succeeded")
    ]
    assert [each["amount"] for each in vendors.journal("refunds")] == [1000]
