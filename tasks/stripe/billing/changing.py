"""Change what a subscription consists of; the compensation changes it back.

Invariant: what a change costs is asked before it is made, at the same time of proration, and a
change that costs more than the step may is not made. The subscription's metadata name the step that
has changed it last, and only that step's change is undone.
https://docs.stripe.com/billing/subscriptions/upgrade-downgrade, /prorations, /pending-updates
"""

from typing import Literal

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Permanent, Retryable, Suspend
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
from tasks.stripe.billing import calls, costs, subscriptions
from tasks.stripe.billing.crediting import (
    book_payments,
    require_unprocessed,
    undo_invoice,
    voided,
)
from tasks.stripe.billing.items import as_now, changed, intervals, restored, same, wanted_of
from tasks.stripe.billing.ownership import require_own
from tasks.stripe.billing.subscribing import MOST_ITEMS
from tasks.stripe.billing.subscriptions import ENDED, SUBSCRIPTION_PATTERN, Subscription, summary
from tasks.stripe.marks import CHANGED_BY, KEY_LIFE, MOST_AMOUNT, POLL_SECONDS, metadata_of
from tasks.stripe.wording import id_of, without

_OF_STEP = ("before", "wanted", "most_amount", "invoice_before", "intervals_before")
"""What the recorded request holds beside Stripe's parameters."""
_LONGEST_WAIT_SECONDS = 600
"""A request that waits longer is prorated from another time, for the customer has had the old items
since."""


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
        named = [each.item for each in self.items if each.item is not None]
        if len(set(named)) < len(named):
            raise ValueError("an item is changed once")
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
    made = call.recorded("subscriptions.update") if call.external_id else None
    if made is None:
        is_open = any(each.generation == call.generation for each in call.open_intents())
        made = call.once(
            "subscriptions.update",
            _request(call, given),
            lambda request, key: _change(call, request, key, is_open=is_open),
            is_last=True,
        )
    if made["is_pending"]:
        told = made
        made = call.state_of(known, lambda: _state(subscriptions.read(known), told), POLL_SECONDS)
        if made["is_pending"]:
            raise Suspend(known, poll_seconds=POLL_SECONDS)
        if not same(made["items"], made["wanted"]):
            raise Permanent(
                "the invoice of the change was not paid in time, so that it is not made",
                code="change_expired",
                detail={"subscription": known},
            )
    if made["latest_invoice"] not in (None, made["invoice_before"]):
        book_payments(call, calls.read_invoice(made["latest_invoice"]))
    return without(made, "is_pending", "wanted", "invoice_before", "prorated_at")


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
change_subscription.authentication = authentication.read_subscription


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
    """Give the subscription the items that it had, if its present ones are of this step.

    What the change was charged at once is credited; what it costs or saves on the next invoice is
    taken off there. The invoice of a change that waits is voided, which ends the change; if its
    customer has paid it meanwhile, it is credited. Raises Permanent if the way back would charge
    the customer at once.
    """
    made = [each for each in undo.intents if each.resolution not in ("refused", "never")]
    results = []
    for number, each in reversed(list(enumerate(made))):
        # To undo an invoice takes at most two calls.
        call.at(2 * number)
        results.append(_change_back(call, each, is_last=number == 0))
    order = ("changed_back", "superseded", "already")
    return {"result": min(results, key=order.index) if results else "nothing"}


def _change_back(call: Call, intent: Intent, *, is_last: bool) -> str:
    request = intent.request
    seen = subscriptions.read(request["subscription"])
    state = _state(seen, request)
    if state["is_pending"]:
        if not _is_by(call, seen["pending_update"]):
            return "superseded"
        if not _is_paid_meanwhile(str((intent.response or state)["latest_invoice"])):
            return "changed_back"
        seen = subscriptions.read(request["subscription"])
        state = _state(seen, request)
        if state["is_pending"]:
            raise Retryable(
                "Stripe has not made the change yet that is paid",
                code="processing",
                after=POLL_SECONDS,
            )
    if seen["status"] in ENDED or same(state["items"], request["before"]):
        return "already"
    if not _is_by(call, seen) or not same(state["items"], request["wanted"]):
        return "superseded"
    way_back = {
        "subscription": seen["id"],
        "items": restored(seen, request["before"]),
        "proration_behavior": "create_prorations",
        # What an earlier generation of the step has changed is undone next.
        "metadata": {CHANGED_BY: "" if is_last else call.reference},
    }
    if _has_other_interval(seen, request):
        # Stripe invoices it at once. Without prorations it would invoice a whole period anew.
        costs.require_free(seen, way_back)
    elif request["proration_behavior"] == "none":
        way_back["proration_behavior"] = "none"
    elif own := _own_invoice(intent, state):
        # Prorations would wait for an invoice that a subscription which ends never gets.
        way_back["proration_behavior"] = "none"
        undo_invoice(call, own)
    subscriptions.update(way_back)
    return "changed_back"


def _is_paid_meanwhile(invoice: str) -> bool:
    """Void the invoice for which a change waits, which ends the change; or whether it is paid.

    Raises Retryable while Stripe processes its payment.
    """
    seen = calls.read_invoice(invoice)
    if seen["status"] not in ("paid", "void"):
        require_unprocessed(seen)
        seen = voided(invoice)
    return bool(seen["status"] == "paid")


def _is_by(call: Call, seen: Json) -> bool:
    return metadata_of(seen).get(CHANGED_BY) == call.reference


def _has_other_interval(seen: Json, request: Json) -> bool:
    before = request["intervals_before"]
    return any(before.get(item, now) != now for item, now in intervals(seen).items())


def _own_invoice(intent: Intent, state: Json) -> str | None:
    """The invoice that the change has made, if it charges the change and nothing else."""
    known = (intent.response or state)["latest_invoice"]
    if known in (None, intent.request["invoice_before"]):
        return None
    invoice = calls.read_invoice(known)
    told = (intent.response or {}).get("prorated_at")
    lines, at = invoice["lines"], told or intent.request.get("proration_date")
    is_own = all(
        costs.is_proration(each) and each["period"]["start"] == at for each in lines["data"]
    )
    return known if is_own and not lines["has_more"] and invoice["total"] > 0 else None


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
        "metadata": {CHANGED_BY: call.reference},
        "before": as_now(seen["items"]["data"]),
        "intervals_before": intervals(seen),
        "invoice_before": id_of(seen.get("latest_invoice")),
        "wanted": wanted_of(seen, changes),
    }
    if given.billing != "none":
        request["proration_date"] = _earliest(call, seen)
    return request


def _earliest(call: Call, seen: Json) -> int:
    """The time from which a change that is made now is prorated, in Unix seconds.

    Stripe takes no time before the present period, which by this clock may not have begun yet.
    """
    starts = (int(each["current_period_start"]) for each in seen["items"]["data"])
    return max(int(call.now().timestamp()), *starts)


def _dated(call: Call, request: Json, seen: Json, *, is_open: bool) -> Json:
    """The request with a time of proration that is not too old.

    Raises Retryable, so that the change gets another time and another key, and is previewed with
    them, if the request has waited. What may have been sent already is sent again as it was, unless
    the period of its time has ended.
    """
    if "proration_date" not in request:
        return request
    age = _earliest(call, seen) - request["proration_date"]
    is_past = any(
        each["current_period_start"] > request["proration_date"] for each in seen["items"]["data"]
    )
    if not is_open and (is_past or age > _LONGEST_WAIT_SECONDS):
        raise Retryable(
            "the change would be prorated from a time that is too old: the request has waited",
            code="proration_too_old",
            after=0.0,
            stored=True,
        )
    return request | ({"proration_date": _earliest(call, seen)} if is_past else {})


def _change(call: Call, request: Json, key: str, *, is_open: bool) -> Json:
    known = [each["item"] for each in request["before"]]
    for each in request["items"]:
        if each.get("id") not in (None, *known):
            raise Permanent(
                f"the subscription has no item {each['id']}",
                code="item_unknown",
                detail={"subscription": request["subscription"], "item": each["id"]},
            )
    seen = subscriptions.read(request["subscription"])
    state = _state(seen, request)
    if seen["status"] in ENDED:
        raise Permanent(
            f"the subscription is {seen['status']}",
            code="subscription_ended",
            detail={"subscription": seen["id"]},
        )
    if state["is_pending"]:
        return state
    if same(state["items"], request["wanted"]):
        # An earlier sending did it, and Stripe may have forgotten the key of that call. Or another
        # step did, whose undoing must not take it from this one.
        if not _is_by(call, seen):
            names = ("subscription", "metadata")
            subscriptions.update({name: request[name] for name in names})
        return state
    request = _dated(call, request, seen, is_open=is_open)
    costs.require_cheap(request, seen)
    made = subscriptions.update(without(request, *_OF_STEP), key)
    return _state(made, request) | {"prorated_at": request.get("proration_date")}


def _state(seen: Json, told: Json) -> Json:
    """What is recorded of the subscription: whether the change waits for its payment, too."""
    pending = (seen.get("pending_update") or {}).get("subscription_items") or []
    is_pending = bool(pending) and same(as_now(pending), told["wanted"])
    kept = {name: told[name] for name in ("wanted", "invoice_before")}
    return summary(seen) | {"is_pending": is_pending} | kept
