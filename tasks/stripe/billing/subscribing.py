"""Begin a subscription; the compensation cancels it, and gives back what its first invoice took.

Invariant: the metadata of a subscription name the step that has made it.
https://docs.stripe.com/billing/subscriptions/overview
"""

from typing import Literal

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Permanent, Suspend
from app.money.currencies import fault_of
from app.platform import (
    ActionInput,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Never,
    Undo,
    action,
)
from tasks.stripe import authentication
from tasks.stripe.billing import calls, subscriptions
from tasks.stripe.billing.crediting import book_payments, undo_invoice
from tasks.stripe.billing.invoicing import CUSTOMER_PATTERN
from tasks.stripe.billing.subscriptions import ENDED, Subscription, summary
from tasks.stripe.catalogue.prices import Recurring
from tasks.stripe.catalogue.products import PRODUCT, PRODUCTS
from tasks.stripe.customers.calls import SETUPS
from tasks.stripe.kinds import require_own
from tasks.stripe.marks import CLOCKS_DIFFER, KEY_LIFE, MOST_AMOUNT, POLL_SECONDS, own_marks
from tasks.stripe.wording import given as having
from tasks.stripe.wording import id_of, without

MOST_ITEMS = 20
"""Stripe takes no more in a subscription."""
_FIRST = "subscription_create"
_MOST_WAIT_SECONDS = 23 * 3600
"""So long a customer who is there may take to save a card, as Stripe waits for a first payment."""
_OF_WAIT = ("is_unsaved", "created")


class NewPrice(ActionInput):
    """A price that only this subscription has: `unit_amount` is in minor units of `currency` (ISO
    4217), for one of the product in each interval."""

    product: str = Field(pattern=PRODUCT, max_length=255)
    unit_amount: int = Field(ge=0, le=MOST_AMOUNT)
    currency: str = Field(pattern=r"^[A-Za-z]{3}$")
    recurring: Recurring

    @model_validator(mode="after")
    def _may_be_charged(self) -> "NewPrice":
        if fault := fault_of(self.unit_amount, self.currency):
            raise ValueError(fault)
        return self


class SubscribedPrice(ActionInput):
    """A recurring `price`, or `price_data` of which Stripe makes one, and how many of it.

    A metered price has no quantity: what is used is reported.
    """

    price: str | None = Field(default=None, min_length=1, max_length=255)
    price_data: NewPrice | None = None
    quantity: int | None = Field(default=None, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _is_one_of_both(self) -> "SubscribedPrice":
        if (self.price is None) == (self.price_data is None):
            raise ValueError("an item has a price or price_data")
        return self

    def params(self) -> Json:
        """The item's parameters."""
        found = having(self.model_dump())
        if self.price_data is not None:
            found["price_data"] |= {"currency": self.price_data.currency.lower()}
        return found


class SubscribeInput(ActionInput):
    """The customer at Stripe and what is subscribed to.

    `session` is `on` if the customer is at a browser and can pay there, or authenticate the payment
    (3-D Secure). `off`: the saved method is charged, and a payment that is declined, or that wants
    the customer, leaves no subscription. While nothing is due, such as in a trial, a customer
    who is there saves a card, or authenticates it for later. After a trial without a saved method
    the subscription does what `trial_without_method` says.
    """

    customer: str = Field(pattern=CUSTOMER_PATTERN, max_length=255)
    items: list[SubscribedPrice] = Field(min_length=1, max_length=MOST_ITEMS)
    payment_method: str | None = Field(default=None, min_length=1, max_length=255)
    trial_days: int | None = Field(default=None, ge=1, le=730)
    trial_without_method: Literal["cancel", "pause", "create_invoice"] = "cancel"
    description: str | None = Field(default=None, max_length=500)
    session: Literal["off", "on"] = "off"

    @model_validator(mode="after")
    def _differ(self) -> "SubscribeInput":
        named = [each.price for each in self.items if each.price is not None]
        if len(set(named)) < len(named):
            raise ValueError("a price stands in one item only: raise its quantity")
        return self


@action("stripe.subscribe", input=SubscribeInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def subscribe(call: Call, given: SubscribeInput) -> Json:
    """Begin a subscription, and return it.

    With `session: on` the step waits until the first invoice is paid; Stripe gives up after 23
    hours. If nothing is due yet, it waits so long at most until the customer has saved or
    authenticated a card, and goes on without one. Raises Permanent if the payment is declined, or
    never comes.
    """
    made = call.once(
        "subscriptions.create",
        _request(call, given),
        lambda request, key: _create(call, request, key),
        is_last=True,
    )
    known = made["subscription"]
    if made["status"] == "incomplete" or (given.session == "on" and made.get("is_unsaved", True)):
        # What was recorded when it began may be long ago.
        made = call.state_of(known, lambda: _state(subscriptions.read(known)), POLL_SECONDS)
    if _waits(call, given, made):
        raise Suspend(known, poll_seconds=POLL_SECONDS)
    if made["status"] in ENDED:
        raise Permanent(
            f"the first invoice was not paid: the subscription is {made['status']}",
            code="first_payment_missing",
            detail={"subscription": known},
        )
    if made["latest_invoice"] is not None:
        book_payments(call, calls.read_invoice(made["latest_invoice"]))
    return without(made, *_OF_WAIT)


subscribe.describe(
    output=Subscription,
    example={
        "customer": "cus_OqXyz",
        "items": [{"price": "price_1OqXyz", "quantity": 3}],
        "trial_days": 14,
        "session": "on",
    },
)
subscribe.authentication = authentication.read_subscription


@subscribe.looked_up
def find_subscription(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the subscription by its metadata in the customer's list, which is strongly
    consistent."""
    found = _made_by(intent, intent.request["metadata"])
    return Found(_state(subscriptions.whole(found[0]))) if found else Never()


@subscribe.compensation
def unsubscribe(call: Call, undo: Undo) -> Json:
    """Cancel the step's subscriptions at once, and credit or void the first invoice of each.

    Later invoices were for time that has passed. They are left alone, and are counted.
    """
    known = _subscriptions(call, undo)
    results: list[Json] = []
    for number, each in enumerate(known):
        call.at(number)
        results.append(_end(call, each))
    order = ("canceled", "already")
    found = [each["result"] for each in results]
    result = min(found, key=order.index) if found else "nothing"
    return {"result": result, "subscriptions": results}


def _end(call: Call, subscription: str) -> Json:
    seen = subscriptions.read(subscription)
    result = "already"
    if seen["status"] not in ENDED:
        details = {"comment": f"undone by {call.reference}"}
        request = {"subscription": subscription, "cancellation_details": details}
        subscriptions.cancel(request, is_read_again=True)
        result = "canceled"
    listed = subscriptions.invoices_of(subscription)
    first = [each["id"] for each in listed if each["billing_reason"] == _FIRST]
    told = {"subscription": subscription, "later_invoices": len(listed) - len(first)}
    # The first invoice of a trial takes nothing, but is paid all the same.
    undone = undo_invoice(call, first[0]) if first else None
    if pending := id_of(seen.get("pending_setup_intent")):
        # Stripe leaves it open, also if the subscription has ended. The money comes first.
        _cancel_setup(pending)
    return {"result": result, **told, "invoice": undone}


def _cancel_setup(setup: str) -> None:
    if SETUPS.retrieve(setup)["status"] in authentication.UNFINISHED:
        SETUPS.end("cancel", setup)


def _create(call: Call, request: Json, key: str) -> Json:
    for item in request["items"]:
        if "price_data" in item:
            require_own(call, PRODUCTS.retrieve(item["price_data"]["product"]))
    return _state(subscriptions.create(request, key))


def _waits(call: Call, given: SubscribeInput, made: Json) -> bool:
    """Whether the customer still has to pay, or to save a card."""
    if made["status"] == "incomplete":
        return True
    return given.session == "on" and _may_save(made, call.now().timestamp())


def _may_save(made: Json, now: float) -> bool:
    """Whether the customer may still save a card, at a time in Unix seconds.

    >>> made = {"is_unsaved": True, "created": 1_000_000}
    >>> _may_save(made, 1_080_000.0), _may_save(made, 1_090_000.0)
    (True, False)
    """
    return bool(made.get("is_unsaved", True)) and now - made["created"] < _MOST_WAIT_SECONDS


def _state(seen: Json) -> Json:
    is_unsaved = seen.get("pending_setup_intent") is not None and seen["status"] not in ENDED
    return summary(seen) | {"is_unsaved": is_unsaved, "created": seen["created"]}


def _subscriptions(call: Call, undo: Undo) -> list[str]:
    recorded = [str(each.response["subscription"]) for each in undo.intents if each.response]
    lost = [each for each in undo.intents if each.resolution is None]
    found = [seen["id"] for each in lost for seen in _made_by(each, {"reference": call.reference})]
    return list(dict.fromkeys(recorded + found))


def _made_by(intent: Intent, marks: dict[str, str]) -> list[Json]:
    sent = intent.first_sent_at
    listed = subscriptions.subscriptions_of(
        intent.request["customer"], sent - CLOCKS_DIFFER, sent + KEY_LIFE
    )
    return calls.carrying(listed, marks)


def _request(call: Call, given: SubscribeInput) -> Json:
    is_there = given.session == "on"
    ending = {"end_behavior": {"missing_payment_method": given.trial_without_method}}
    request = {
        "customer": given.customer,
        "items": [each.params() for each in given.items],
        "billing_mode": {"type": "flexible"},
        "payment_behavior": "default_incomplete" if is_there else "error_if_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "off_session": None if is_there else True,
        "default_payment_method": given.payment_method,
        "trial_period_days": given.trial_days,
        "trial_settings": None if given.trial_days is None else ending,
        "description": given.description,
        "metadata": own_marks(call),
    }
    return having(request)
