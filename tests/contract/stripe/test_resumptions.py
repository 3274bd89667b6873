"""A subscription that is paused, or whose collection is, goes on; undone, it is as it was."""

import pytest

from app.errors import Permanent, Retryable, Unknown
from app.identity import keys
from app.platform import Found
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe import selling
from tests.contract.stripe.steps import pause_subscription as pausing
from tests.contract.stripe.steps import resume_subscription as resuming
from tests.contract.stripe.steps import subscribe
from tests.contract.stripe.test_subscriptions import read
from tests.contract.vendors import Vendors


def test_a_collection_that_is_paused_goes_on_and_is_paused_again(
    step: Claim, vendors: Vendors
) -> None:
    known = selling.subscription()["id"]
    paused = {"behavior": "void", "resumes_at": 4_000_000_000}
    selling.ask(lambda v1: v1.subscriptions.update(known, {"pause_collection": paused}))
    given = step("stripe.resume_subscription", {"subscription": known})
    vendors.fault("stripe", "subscriptions.update", "lost_reply")
    with pytest.raises(Unknown):
        given.run()
    assert given.run()["status"] == "active"
    assert read(known)["pause_collection"] is None
    assert [given.undo()["result"] for _ in range(2)] == ["paused_again", "already"]
    assert read(known)["pause_collection"] == paused
    assert not read(known)["metadata"]


def test_the_rest_of_the_period_is_charged_with_the_next_invoice_and_credited_again(
    step: Claim, vendors: Vendors
) -> None:
    known = selling.subscription()
    selling.ask(lambda v1: v1.subscriptions.pause(known["id"]))
    given = step("stripe.resume_subscription", {"subscription": known["id"], "charge_rest": True})
    assert given.run()["status"] == "active"
    given.undo()
    asked = {"customer": known["customer"]}
    listed = selling.ask(lambda v1: v1.invoice_items.list(asked))["data"]
    assert sorted(each["amount"] for each in listed) == [-4000, 4000]


def test_a_pause_and_its_end_are_undone_one_after_the_other(step: Claim, vendors: Vendors) -> None:
    pause = pausing(step)
    known = pause.given["subscription"]
    pause.run()
    resume = step("stripe.resume_subscription", {"subscription": known})
    resume.run()
    vendors.advance(60)
    assert resume.undo()["result"] == "paused_again"
    assert read(known)["status"] == "paused"
    assert pause.undo()["result"] == "resumed"
    assert (read(known)["status"], read(known)["metadata"]) == ("active", {})


def test_only_what_is_paused_is_resumed_and_only_by_its_organisation(
    step: Claim, vendors: Vendors
) -> None:
    known = selling.subscription()["id"]
    with pytest.raises(Permanent) as caught:
        step("stripe.resume_subscription", {"subscription": known}).run()
    assert caught.value.code == "subscription_not_paused"
    made = subscribe(step).run()
    stranger, _ = keys.create_key("eve@example.org")
    other = {"subscription": made["subscription"]}
    with pytest.raises(Permanent) as caught:
        step("stripe.resume_subscription", other, user=stranger).run()
    assert caught.value.code == "belongs_to_other"


def test_undone_before_it_is_known_a_resumption_changes_nothing(
    step: Claim, vendors: Vendors
) -> None:
    given = resuming(step)
    known = given.given["subscription"]
    vendors.fault("stripe", "subscriptions.resume", "reset_before")
    with pytest.raises(Unknown):
        given.run()
    assert [given.undo(status="unknown")["result"] for _ in range(2)] == ["already", "already"]
    assert (read(known)["status"], vendors.count("subscriptions.paused")) == ("paused", 0)


@pytest.mark.parametrize("is_by_hand", [True, False])
def test_a_pause_after_the_resumption_is_told_from_its_undoing(
    step: Claim, vendors: Vendors, is_by_hand: bool
) -> None:
    pause = pausing(step)
    known = pause.given["subscription"]
    pause.run()
    resume = step("stripe.resume_subscription", {"subscription": known})
    resume.run()
    vendors.advance(60)
    if is_by_hand:
        selling.ask(lambda v1: v1.subscriptions.pause(known))
    else:
        vendors.fault("stripe", "subscriptions.pause", "lost_reply")
        with pytest.raises(Retryable):
            resume.undo()
    assert resume.undo()["result"] == ("superseded" if is_by_hand else "paused_again")
    assert pause.undo()["result"] == ("superseded" if is_by_hand else "resumed")
    assert read(known)["status"] == ("paused" if is_by_hand else "active")


def billed(step: Claim, vendors: Vendors) -> tuple[Step, str]:
    """A step whose resumption makes an invoice, and the subscription."""
    vendors.change(stripe__resumption_invoices=True)
    known = str(selling.subscription()["id"])
    selling.ask(lambda v1: v1.subscriptions.pause(known))
    return step("stripe.resume_subscription", {"subscription": known, "charge_rest": True}), known


@pytest.mark.parametrize("kind", ["none", "lost_reply", "retried"])
def test_a_resumption_that_waits_for_its_invoice_is_no_success_and_leaves_nothing_to_pay(
    step: Claim, vendors: Vendors, kind: str
) -> None:
    given, known = billed(step, vendors)
    if kind == "lost_reply":
        vendors.fault("stripe", "subscriptions.resume", kind)
        with pytest.raises(Unknown):
            given.run()
    for _ in range(2):
        with pytest.raises(Permanent) as caught:
            given.run()
        invoice = str(caught.value.detail["latest_invoice"])
        assert (caught.value.code, caught.value.detail["status"]) == (
            "subscription_not_resumed",
            "paused",
        )
    assert selling.ask(lambda v1: v1.invoices.retrieve(invoice))["status"] == "open"
    if kind == "retried":
        given = given.retried()
        with pytest.raises(Permanent):
            given.run()
    results = [given.undo(status="failed")["result"] for _ in range(2)]
    assert results == ["paused_again", "already"]
    assert selling.ask(lambda v1: v1.invoices.retrieve(invoice))["status"] == "void"
    assert (read(known)["status"], read(known)["metadata"]) == ("paused", {})
    assert vendors.count("subscriptions.paused") == 1


def test_a_resumption_whose_payment_fails_is_no_success(step: Claim, vendors: Vendors) -> None:
    given, known = billed(step, vendors)
    with pytest.raises(Permanent) as waiting:
        given.run()
    invoice = str(waiting.value.detail["latest_invoice"])
    payment = selling.payment_of(invoice)
    refused = {"payment_method": "pm_card_visa_chargeDeclined"}
    with pytest.raises(Permanent, match="declined"):
        selling.ask(lambda v1: v1.payment_intents.confirm(payment, refused))
    assert read(known)["status"] == "past_due"
    assert given.undo(status="failed")["result"] == "paused_again"
    assert selling.ask(lambda v1: v1.invoices.retrieve(invoice))["status"] == "void"
    assert read(known)["status"] == "paused"
    asked = {"customer": read(known)["customer"]}
    listed = selling.ask(lambda v1: v1.invoice_items.list(asked))["data"]
    assert [each["amount"] for each in listed] == [4000], "what nobody has paid is not credited"


def test_a_pause_is_not_undone_while_its_end_is_to_be_paid(step: Claim, vendors: Vendors) -> None:
    vendors.change(stripe__resumption_invoices=True)
    known = str(selling.subscription()["id"])
    pause = step("stripe.pause_subscription", {"subscription": known, "credit_unused": True})
    pause.run()
    # What was credited would pay for the rest of the period.
    items = selling.ask(lambda v1: v1.invoice_items.list({"customer": read(known)["customer"]}))
    for each in items["data"]:
        selling.ask(lambda v1, each=each: v1.invoice_items.delete(each["id"]))
    with pytest.raises(Permanent) as caught:
        pause.undo()
    assert caught.value.code == "subscription_not_resumed"
    assert read(known)["metadata"]["paused_by"], "another run does not take it for done"
    selling.pay(str(caught.value.detail["latest_invoice"]))
    assert (pause.undo()["result"], read(known)["status"]) == ("superseded", "active")


def test_a_subscription_that_is_ended_meanwhile_is_no_success(
    step: Claim, vendors: Vendors
) -> None:
    given = resuming(step)
    known = given.given["subscription"]
    vendors.fault("stripe", "subscriptions.resume", "lost_reply")
    with pytest.raises(Unknown):
        given.run()
    selling.ask(lambda v1: v1.subscriptions.cancel(known))
    found = given.look_up()
    assert isinstance(found, Found)
    given.adopt(found)
    with pytest.raises(Permanent, match="its status is canceled") as caught:
        given.run()
    assert caught.value.code == "subscription_not_resumed"
    assert given.undo(status="failed")["result"] == "superseded"


def test_what_is_reported_is_how_the_subscription_stands_now(step: Claim, vendors: Vendors) -> None:
    known = str(selling.subscription()["id"])
    paused = {"behavior": "void"}
    selling.ask(lambda v1: v1.subscriptions.update(known, {"pause_collection": paused}))
    given = step("stripe.resume_subscription", {"subscription": known})
    given.run()
    selling.ask(lambda v1: v1.subscriptions.update(known, {"cancel_at_period_end": True}))
    assert given.run()["cancel_at_period_end"] is True
    selling.ask(lambda v1: v1.subscriptions.update(known, {"pause_collection": paused}))
    with pytest.raises(Permanent, match="are not collected"):
        given.run()
