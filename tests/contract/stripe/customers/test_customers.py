"""A customer is deleted or restored only as far as that is this step's, and loses nothing."""

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import tasks
from app.errors import Permanent
from app.identity import keys
from app.platform import Json
from tasks.stripe.catalogue.prices import PRICES
from tasks.stripe.customers.calls import CUSTOMERS, METHODS
from tasks.stripe.kinds import Kind
from tests.contract.cases import Claim
from tests.contract.stripe import selling
from tests.contract.stripe.steps import AUTHORIZE, card, create_customer, customer, product
from tests.contract.vendors import Vendors


def subscribe(owner: str) -> None:
    """Begin a subscription of the customer, who pays by invoice."""
    monthly: Json = {
        "product": product(),
        "unit_amount": 900,
        "currency": "eur",
        "recurring": {"interval": "month"},
    }
    price = PRICES.create(monthly, uuid.uuid4().hex)["id"]
    given: Json = {"customer": owner, "items": [{"price": price}]}
    given |= {"collection_method": "send_invoice", "days_until_due": 30}
    Kind("subscriptions").create(given, uuid.uuid4().hex)


def test_a_customer_with_a_balance_is_kept_until_it_is_gone(step: Claim, vendors: Vendors) -> None:
    made = create_customer(step)
    owner = made.run()["customer"]
    CUSTOMERS.update(owner, {"balance": -500})
    undone = made.undo()
    assert (undone["result"], undone["kept"]) == ("kept", {owner: ["a balance"]})
    CUSTOMERS.update(owner, {"balance": 0})
    assert [made.undo()["result"] for _ in range(2)] == ["deleted", "already"]


def test_a_customer_with_a_subscription_is_kept(step: Claim, vendors: Vendors) -> None:
    made = create_customer(step)
    owner = made.run()["customer"]
    subscribe(owner)
    assert "a subscription that has not ended" in made.undo()["kept"][owner]
    assert vendors.count("customers.deleted") == 0


def has(kind: str, **given: Any) -> Callable[[str], None]:
    """Make an object of a kind for a customer."""

    def make(owner: str) -> None:
        Kind(kind).create(given | {"customer": owner}, uuid.uuid4().hex)

    return make


def saves(owner: str) -> None:
    """Attach a card, as the step of another workflow does."""
    METHODS.do("attach", card(), {"customer": owner}, uuid.uuid4().hex)


def plans(owner: str) -> None:
    """Make a schedule that begins tomorrow."""
    phase = {"items": [{"price": selling.price()}], "duration": {"interval": "month"}}
    given = {"customer": owner, "start_date": int(time.time()) + 86400, "phases": [phase]}
    Kind("subscription_schedules").create(given, uuid.uuid4().hex)


def pays_in(owner: str) -> None:
    """Transfer money by which invoices will be paid."""
    given = {"amount": 700, "currency": "eur"}
    Kind("test_helpers.customers").do("fund_cash_balance", owner, given, uuid.uuid4().hex)


@pytest.mark.parametrize(
    ("depend", "why"),
    [
        (pays_in, "a balance"),
        (saves, "a saved payment method"),
        (plans, "a schedule that has not begun"),
        (has("invoices"), "a draft of an invoice"),
        (has("invoice_items", amount=5000, currency="eur"), "an item for the next invoice"),
        (has("payment_intents", amount=5000, currency="eur"), "a payment that is not final"),
    ],
)
def test_a_customer_on_whom_somebody_depends_is_kept(
    step: Claim, vendors: Vendors, depend: Callable[[str], None], why: str
) -> None:
    made = create_customer(step)
    owner = made.run()["customer"]
    depend(owner)
    undone = made.undo()
    assert (undone["result"], undone["kept"]) == ("kept", {owner: [why]})


def test_a_customer_with_only_an_address_is_somebody() -> None:
    model = tasks.actions()["stripe.create_customer"].input
    model.model_validate({"address": {"city": "Paris"}})
    with pytest.raises(ValueError, match="needs an email"):
        model.model_validate({"address": {}})


def test_a_field_that_cannot_be_restored_is_left_out(step: Claim, vendors: Vendors) -> None:
    owner = customer()
    old, new = card(), card()
    for each in (old, new):
        METHODS.do("attach", each, {"customer": owner}, uuid.uuid4().hex)
    CUSTOMERS.update(owner, {"invoice_settings": {"default_payment_method": old}})
    given = {"customer": owner, "name": "Ada King", "default_payment_method": new}
    changed = step("stripe.update_customer", given)
    changed.run()
    METHODS.end("detach", old)
    assert changed.undo() == {"result": "restored", "left": {owner: ["default_payment_method"]}}
    assert CUSTOMERS.retrieve(owner)["name"] == "Ada"


def test_a_replayed_change_reads_nothing(step: Claim, vendors: Vendors) -> None:
    changed = step("stripe.update_customer", {"customer": customer(), "name": "Ada King"})
    changed.run()
    vendors.fault("stripe", "customers.retrieve", "status", status=403, count=9)
    assert changed.run()["name"] == "Ada King"


@pytest.mark.parametrize(
    ("held", "given", "field"),
    [
        ({"description": "paid by 4242 4242 4242 4242"}, {"description": "pays later"},
         "description"),
        ({"metadata": {"card": "4242424242424242"}}, {"metadata": {"card": "none"}},
         "metadata.card"),
    ],
)  # fmt: skip
def test_a_field_that_holds_a_card_number_is_not_changed_and_its_value_not_stored(
    step: Claim, vendors: Vendors, held: Json, given: Json, field: str
) -> None:
    owner = customer()
    CUSTOMERS.update(owner, held)
    refused = step("stripe.update_customer", {"customer": owner, "name": "Ada King", **given})
    with pytest.raises(Permanent, match="delete the number at Stripe") as caught:
        refused.run()
    assert (caught.value.code, caught.value.detail["fields"]) == ("card_number_held", [field])
    assert "4242" not in caught.value.message
    assert refused.intents == ()
    assert vendors.count("customers.updated") == 1
    other = step("stripe.update_customer", {"customer": owner, "name": "Ada King"})
    other.run()
    assert other.undo()["result"] == "restored"
    seen = CUSTOMERS.retrieve(owner)
    assert (seen["name"], "4242" in str(seen[field.partition(".")[0]])) == ("Ada", True)


def test_a_customer_of_another_organisation_is_neither_changed_nor_charged(
    step: Claim, vendors: Vendors
) -> None:
    owner = create_customer(step).run()["customer"]
    bob, _ = keys.create_key("bob@example.com")
    changes = step("stripe.update_customer", {"customer": owner, "name": "Bob"}, user=bob)
    charges = step("stripe.authorize", AUTHORIZE | {"customer": owner}, user=bob)
    priced = step("stripe.checkout", {**SETUP, "customer": owner}, user=bob)
    for stranger in (changes, charges, priced):
        with pytest.raises(Permanent) as caught:
            stranger.run()
        assert caught.value.code == "belongs_to_other"
    assert vendors.count("customers.updated") == vendors.count("payment_intents") == 0
    other = step("stripe.update_customer", {"customer": owner, "name": "Ada King"})
    assert other.run()["name"] == "Ada King", "another workflow of the organisation may"


SETUP: Json = {
    "mode": "setup",
    "success_url": "https://shop.example.com/thanks",
    "currency": "eur",
}


def test_only_what_is_still_as_the_step_has_set_it_is_restored(
    step: Claim, vendors: Vendors
) -> None:
    owner = customer()
    CUSTOMERS.update(owner, {"metadata": {"tier": "1", "shop": "7"}})
    given = {"name": "Ada King", "phone": "+491", "metadata": {"tier": "2", "new": "yes"}}
    changed = step("stripe.update_customer", {"customer": owner, **given})
    changed.run()
    CUSTOMERS.update(owner, {"name": "Countess", "metadata": {"shop": "8"}})
    assert [changed.undo()["result"] for _ in range(2)] == ["restored", "already"]
    seen = CUSTOMERS.retrieve(owner)
    assert (seen["name"], seen["phone"], seen["email"]) == ("Countess", None, "ada@example.com")
    own = {name: seen["metadata"].get(name) for name in ("tier", "shop", "new")}
    assert own == {"tier": "1", "shop": "8", "new": None}


def test_what_two_tries_by_hand_have_set_is_restored_to_the_first_value(
    step: Claim, vendors: Vendors
) -> None:
    owner = customer()
    first = step("stripe.update_customer", {"customer": owner, "name": "Ada K."})
    first.run()
    again = replace(first.retried(), given={"customer": owner, "name": "Ada King"})
    assert again.run()["name"] == "Ada King"
    assert again.undo()["result"] == "restored"
    assert CUSTOMERS.retrieve(owner)["name"] == "Ada"


def test_what_a_fork_has_set_to_the_same_value_stays(step: Claim, vendors: Vendors) -> None:
    owner = customer()
    given = {"customer": owner, "name": "Ada King", "metadata": {"t" * 40: "2"}}
    first = step("stripe.update_customer", given)
    first.run()
    fork = step("stripe.update_customer", given, forked_from=first.claim.workflow_id)
    fork.run()
    assert first.undo()["result"] == "already"
    assert CUSTOMERS.retrieve(owner)["name"] == "Ada King"
    assert fork.undo()["result"] == "restored"
    assert CUSTOMERS.retrieve(owner)["name"] == "Ada King", "the original has set it before"


def test_a_deleted_customer_is_not_changed(step: Claim, vendors: Vendors) -> None:
    owner = customer()
    changed = step("stripe.update_customer", {"customer": owner, "name": "Ada King"})
    changed.run()
    CUSTOMERS.end("delete", owner)
    assert changed.undo()["result"] == "already"
    with pytest.raises(Permanent) as caught:
        step("stripe.update_customer", changed.given).run()
    assert caught.value.code == "deleted"


@pytest.mark.parametrize(
    ("action", "given", "said"),
    [
        ("stripe.create_customer", {}, "a customer needs an email"),
        ("stripe.create_customer", {"name": "A", "metadata": {"step": "x"}}, "writes step itself"),
        ("stripe.update_customer", {"customer": "cus_1"}, "no field to change"),
        ("stripe.authorize", AUTHORIZE | {"off_session": True}, "its customer is needed"),
        (
            "stripe.authorize",
            AUTHORIZE | {"off_session": True, "session": "on", "customer": "cus_1"},
            "for a customer who is away",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(action: str, given: Json, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tasks.actions()[action].input.model_validate(given)
