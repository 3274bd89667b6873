"""Change what a subscription consists of; the compensation changes it back.

Invariant: what a change costs is asked before it is made, at the same time of proration, and a
change that costs more than the step may is not made.
https://docs.stripe.com/billing/subscriptions/upgrade-downgrade, /prorations, /pending-updates
"""

from typing import Literal

from pydantic import Field, model_validator

from app import clock
from app.engine.call import Call
from app.errors import Permanent, Suspend
from app.money.currencies import shown
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
from tasks.stripe.billing import calls, subscriptions
from tasks.stripe.billing.crediting import book_payments
from tasks.stripe.billing.items import as_now, changed, restored, same, wanted_of
from tasks.stripe.billing.ownership import require_own
from tasks.stripe.billing.subscribing import MOST_ITEMS
from tasks.stripe.billing.subscriptions import ENDED, SUBSCRIPTION_PATTERN, Subscription, summary
from tasks.stripe.marks import KEY_LIFE, MOST_AMOUNT, POLL_SECONDS
from tasks.stripe.wording import without

_OF_STEP = ("before", "wanted", "most_amount")
"""What the recorded request holds beside Stripe's parameters."""
_CLOCKS_DIFFER_SECONDS = 60


class ItemChange(ActionInput):
    """One change: of the item `item`, or a new item.

    An item gets another price (an upgrade or a downgrade) or quantity, or is deleted.
    """

    item: str | None = Field(default=None, pattern=r"^si_\w+$", max_length=255)
    price: str | None = Field(default=None, min_length=1, max_length=255)
    quantity: int | None = Field(default=None, ge=1, le=1_000_000)
    deleted: bool = False

    @model_validator(mode="after")
    def _changes(self) -> "ItemChange":
        has_values = self.price is not None or self.quantity is not None
        if self.item is None and (self.price is None or self.deleted):
            raise ValueError("a new item needs a price; an item that is deleted is named")
        if self.deleted == has_values:
            raise ValueError("an item gets a price or a quantity, or it is deleted")
        return self


class ChangeSubscriptionInput(ActionInput):
    """The subscription, its changes, and the most that they may cost.

    `most_amount` is in minor units of the subscription's currency: the most that is due at once,
    or, if the change is billed with the next invoice, the most that it adds there for the rest of
    the period. `billing`: what the change costs or saves comes on the `next_invoice`, is invoiced
    `now`, or is not billed (`none`). `unpaid`: an invoice that cannot be paid now fails the step
    (`fail`), or the step waits up to 23 hours until the customer has paid it (`wait`).
    """

    subscription: str = Field(pattern=SUBSCRIPTION_PATTERN, max_length=255)
    items: list[ItemChange] = Field(min_length=1, max_length=MOST_ITEMS)
    most_amount: int = Field(ge=0, le=MOST_AMOUNT)
    billing: Literal["next_invoice", "now", "none"] = "next_invoice"
    unpaid: Literal["fail", "wait"] = "fail"

    @model_validator(mode="after")
    def _fits(self) -> "ChangeSubscriptionInput":
        if self.unpaid == "wait" and self.billing != "now":
            raise ValueError("only a change that is invoiced now waits until it is paid")
        return self


@action(
    "stripe.change_subscription",
    input=ChangeSubscriptionInput,
    effect=Effect.LOOKUP,
    key_life=KEY_LIFE,
)
def change_subscription(call: Call, given: ChangeSubscriptionInput) -> Json:
    """Change a subscription, and return it.

    Raises Permanent if the change costs more than `most_amount`, if its invoice is not paid, or if
    another organisation has made the subscription. Nothing is changed then.
    """
    known = given.subscription
    # A poll reads the subscription once, below.
    known_answer = call.recorded("subscriptions.update") if call.external_id else None
    made = known_answer or call.once(
        "subscriptions.update",
        _request(call, given),
        lambda request, key: _change(call, request, key),
        is_last=True,
    )
    if made["is_pending"]:
        wanted = {"wanted": made["wanted"]}
        made = call.state_of(known, lambda: _state(subscriptions.read(known), wanted), POLL_SECONDS)
        if made["is_pending"]:
            raise Suspend(known, poll_seconds=POLL_SECONDS)
        if not same(made["items"], made["wanted"]):
            raise Permanent(
                "the invoice of the change was not paid in time, so that it is not made",
                code="change_expired",
                detail={"subscription": known},
            )
    if given.billing == "now" and made["latest_invoice"] is not None:
        book_payments(call, calls.read_invoice(made["latest_invoice"]))
    return without(made, "is_pending", "wanted")


change_subscription.describe(
    output=Subscription,
    example={
        "subscription": "sub_1OqXyz",
        "items": [{"item": "si_OqXyz", "price": "price_1OqAbc", "quantity": 5}],
        "most_amount": 20000,
        "billing": "now",
        "unpaid": "wait",
    },
)


@change_subscription.looked_up
def find_change(call: Call, intent: Intent) -> LookupAnswer:
    """Read whether the subscription has, or waits for, the wanted items; Stripe's reads by id are
    strongly consistent."""
    seen = subscriptions.read(intent.request["subscription"])
    state = _state(seen, intent.request)
    is_made = state["is_pending"] or same(state["items"], intent.request["wanted"])
    return Found(state) if is_made else Never()


@change_subscription.compensation
def change_back(call: Call, undo: Undo) -> Json:
    """Give the subscription the items that it had, if it still has those of this step.

    What the change was charged for the time that is left is credited on the next invoice. The
    invoice of a change that waits is voided, which ends the change.
    """
    made = [each for each in undo.intents if each.resolution not in ("refused", "never")]
    results = [_change_back(each.request) for each in reversed(made)]
    order = ("changed_back", "superseded", "already")
    return {"result": min(results, key=order.index) if results else "nothing"}


def _change_back(request: Json) -> str:
    seen = subscriptions.read(request["subscription"])
    state = _state(seen, request)
    if state["is_pending"]:
        calls.void_invoice(str(state["latest_invoice"]))
        return "changed_back"
    if seen["status"] in ENDED or same(state["items"], request["before"]):
        return "already"
    if not same(state["items"], request["wanted"]):
        return "superseded"
    # An undoing charges no customer at once.
    is_free = request["proration_behavior"] == "none"
    way_back = {
        "subscription": seen["id"],
        "items": restored(seen, request["before"]),
        "proration_behavior": "none" if is_free else "create_prorations",
    }
    subscriptions.update(way_back)
    return "changed_back"


def _request(call: Call, given: ChangeSubscriptionInput) -> Json:
    seen = subscriptions.read(given.subscription)
    require_own(call, seen)
    changes = [each.model_dump() for each in given.items]
    behaviors = {"next_invoice": "create_prorations", "now": "always_invoice", "none": "none"}
    payments = {"fail": "error_if_incomplete", "wait": "pending_if_incomplete"}
    request = {
        "subscription": given.subscription,
        "items": changed(changes),
        "proration_behavior": behaviors[given.billing],
        "payment_behavior": payments[given.unpaid],
        "off_session": True,
        "most_amount": given.most_amount,
        "before": as_now(seen["items"]["data"]),
        "wanted": wanted_of(seen, changes),
    }
    if given.billing != "none":
        request["proration_date"] = int(clock.now().timestamp())
    return request


def _change(call: Call, request: Json, key: str) -> Json:
    seen = subscriptions.read(request["subscription"])
    state = _state(seen, request)
    if seen["status"] in ENDED:
        raise Permanent(
            f"the subscription is {seen['status']}",
            code="subscription_ended",
            detail={"subscription": seen["id"]},
        )
    if state["is_pending"] or same(state["items"], request["wanted"]):
        # An earlier sending did it, and Stripe may have forgotten the key of that call.
        return state
    _require_cheap(request)
    return _state(subscriptions.update(without(request, *_OF_STEP), key), request)


def _require_cheap(request: Json) -> None:
    """Raise Permanent if Stripe says that the change costs more than the step may."""
    names = ("items", "proration_behavior", "proration_date")
    details = {name: request[name] for name in names if name in request}
    shows = {"subscription": request["subscription"], "subscription_details": details}
    invoice = subscriptions.preview(shows)
    cost, most = _cost(invoice, request), request["most_amount"]
    if cost > most:
        currency = invoice["currency"]
        raise Permanent(
            f"the change costs {shown(cost, currency)}, more than {shown(most, currency)}",
            code="costs_too_much",
            detail={"subscription": request["subscription"], "amount": cost, "currency": currency},
        )


def _cost(invoice: Json, request: Json) -> int:
    """What a change costs, by the invoice that it would make.

    A change of the interval is invoiced at once, whatever is asked for. Else the preview is that of
    the next invoice, on which only the prorations are of the change.
    """
    lines = invoice["lines"]["data"]
    at = request.get("proration_date", int(clock.now().timestamp()))
    rest = [each for each in lines if not _is_proration(each)]
    is_at_once = any(each["period"]["start"] <= at + _CLOCKS_DIFFER_SECONDS for each in rest)
    if request["proration_behavior"] == "always_invoice" or is_at_once:
        return int(invoice["amount_due"])
    return sum(each["amount"] for each in lines if _is_proration(each))


def _is_proration(line: Json) -> bool:
    parent = line.get("parent") or {}
    kinds = ("invoice_item_details", "subscription_item_details")
    return any((parent.get(kind) or {}).get("proration") for kind in kinds)


def _state(seen: Json, told: Json) -> Json:
    """What is recorded of the subscription: whether the change waits for its payment, too."""
    pending = (seen.get("pending_update") or {}).get("subscription_items") or []
    is_pending = bool(pending) and same(as_now(pending), told["wanted"])
    return summary(seen) | {"is_pending": is_pending, "wanted": told["wanted"]}
