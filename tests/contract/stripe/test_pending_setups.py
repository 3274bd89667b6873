"""While nothing is due of a subscription, a customer who is there saves a card for later."""

from dataclasses import replace

import pytest

from app import clock, db
from app.errors import Outcome, Permanent, Suspend
from app.platform import Found, Json
from tasks.stripe import authentication
from tasks.stripe.billing.subscriptions import summary
from tasks.stripe.customers.calls import SETUPS
from tests.contract.cases import Claim
from tests.contract.stage import Step
from tests.contract.stripe import selling
from tests.contract.stripe.test_subscriptions import WANTS_CUSTOMER, read
from tests.contract.vendors import Vendors


def trial(step: Claim, card: str | None, session: str = "on") -> Step:
    """A claimed step that begins a trial."""
    given: Json = {
        "customer": selling.customer(card),
        "items": [{"price": selling.price()}],
        "trial_days": 14,
        "session": session,
    }
    return step("stripe.subscribe", given)


def waiting(step: Claim, card: str | None) -> tuple[Step, str, str]:
    """A trial that waits for its customer's card, the subscription and its SetupIntent."""
    given = trial(step, card)
    with pytest.raises(Suspend) as caught:
        given.run()
    known = caught.value.external_id
    return given, known, str(read(known)["pending_setup_intent"])


@pytest.mark.parametrize("card", [None, WANTS_CUSTOMER])
def test_a_trial_waits_until_its_customer_has_saved_a_card(
    step: Claim, vendors: Vendors, card: str | None
) -> None:
    given, known, setup = waiting(step, card)
    shown = authentication.read_subscription(known)
    assert (shown.status, str(shown.client_secret).partition("_secret_")[0]) == ("trialing", setup)
    if card is None:
        with pytest.raises(Suspend):
            given.run(external_id=known)
        method = {"payment_method": "pm_card_visa"}
        selling.ask(lambda v1: v1.setup_intents.confirm(setup, method))
    else:
        vendors.authenticate(setup)
    assert authentication.read_subscription(known).client_secret is None
    assert given.run(external_id=known)["status"] == "trialing"
    assert read(known)["default_payment_method"] is not None
    assert "_secret_" not in str([each.response for each in given.intents])


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_trial_goes_on_without_a_card_after_a_day_if_it_goes_on(
    step: Claim, vendors: Vendors, has_ended: bool
) -> None:
    given, known, _ = waiting(step, None)
    if has_ended:
        selling.ask(lambda v1: v1.subscriptions.cancel(known))
    amount = "INSERT INTO clock_offset (amount) VALUES ('1 day')"
    db.row(f"{amount} RETURNING amount", ())
    clock.forget()
    if not has_ended:
        assert given.run(external_id=known)["status"] == "trialing"
        return
    with pytest.raises(Permanent) as caught:
        given.run(external_id=known)
    assert caught.value.code == "first_payment_missing"


def test_undoing_a_trial_ends_its_setup(step: Claim, vendors: Vendors) -> None:
    given, _, setup = waiting(step, None)
    assert [given.undo(status="waiting")["result"] for _ in range(2)] == ["canceled", "already"]
    assert SETUPS.retrieve(setup)["status"] == "canceled"


def test_a_trial_does_not_wait_for_a_customer_who_is_away(step: Claim, vendors: Vendors) -> None:
    given = trial(step, None, session="off")
    made = given.run()
    assert made["status"] == "trialing"
    assert read(made["subscription"])["pending_setup_intent"] is not None


def test_a_customer_who_has_a_card_is_not_asked(step: Claim, vendors: Vendors) -> None:
    made = trial(step, "pm_card_visa").run()
    assert read(made["subscription"])["pending_setup_intent"] is None


def test_a_trial_goes_on_from_what_a_person_has_said_of_it(step: Claim, vendors: Vendors) -> None:
    given = trial(step, "pm_card_visa")
    vendors.fault("stripe", "subscriptions.create", "lost_reply")
    with pytest.raises(Outcome):
        given.run()
    (made,) = selling.ask(lambda v1: v1.subscriptions.list({"customer": given.given["customer"]}))[
        "data"
    ]
    # A person sees the fields of the output, and none that only the action knows.
    given.adopt(Found(summary(read(made["id"]))))
    assert given.run()["subscription"] == made["id"]


def test_a_subscription_may_have_a_price_of_its_own(step: Claim, vendors: Vendors) -> None:
    product = selling.ask(lambda v1: v1.products.create({"name": "Club"}))["id"]
    monthly = {"interval": "month"}
    own = {"product": product, "unit_amount": 700, "currency": "EUR", "recurring": monthly}
    items = [{"price_data": own, "quantity": 2}, {"price": selling.price()}]
    given = trial(step, "pm_card_visa")
    made = replace(given, given=given.given | {"items": items}).run()
    (first, _) = read(made["subscription"])["items"]["data"]
    assert (first["price"]["unit_amount"], first["price"]["product"]) == (700, product)
    assert vendors.count("prices") == 3
