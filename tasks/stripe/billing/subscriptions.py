"""The calls about subscriptions, and what is read of them.

Since version 2025-09-30.clover the billing mode of a new subscription is flexible, and its periods
stand on its items. https://docs.stripe.com/api/subscriptions
"""

from datetime import datetime
from typing import Any

from app.errors import NotServed, Permanent, Retryable, Unknown
from app.platform import ActionOutput, Json
from tasks.stripe.billing import calls
from tasks.stripe.client import api, check_list
from tasks.stripe.wording import id_of, time_of, without

SUBSCRIPTION_PATTERN = r"^sub_\w+$"
ENDED = ("canceled", "incomplete_expired")
GOING_ON = ("active", "trialing")
"""The statuses of a subscription that is neither paused nor lacks a payment."""


class SubscriptionItem(ActionOutput):
    """An item of a subscription. A metered price has no quantity."""

    item: str
    price: str
    quantity: int | None
    current_period_start: str
    current_period_end: str


class Subscription(ActionOutput):
    """A subscription. `status` is Stripe's. `cancel_at` is the time at which it will end."""

    subscription: str
    status: str
    customer: str
    currency: str
    items: list[SubscriptionItem]
    latest_invoice: str | None
    trial_end: str | None
    cancel_at: str | None
    cancel_at_period_end: bool


def summary(seen: Json) -> Json:
    """What is recorded of a subscription."""
    return {
        "subscription": seen["id"],
        "status": seen["status"],
        "customer": id_of(seen["customer"]),
        "currency": seen["currency"],
        "items": [_item(each) for each in seen["items"]["data"]],
        "latest_invoice": id_of(seen.get("latest_invoice")),
        "trial_end": time_of(seen.get("trial_end")),
        "cancel_at": time_of(seen.get("cancel_at")),
        "cancel_at_period_end": seen["cancel_at_period_end"],
    }


def not_resumed(known: Json, why: str | None = None) -> Permanent:
    """The error of a resumption that has not taken effect, by the subscription's `summary`; its
    status says why if nothing else is given."""
    return Permanent(
        f"the subscription is not resumed: {why or 'its status is ' + known['status']}",
        code="subscription_not_resumed",
        detail={name: known[name] for name in ("subscription", "status", "latest_invoice")},
    )


def _item(item: Json) -> Json:
    times = ("current_period_start", "current_period_end")
    return {
        "item": item["id"],
        "price": id_of(item["price"]),
        "quantity": item.get("quantity"),
        **{name: time_of(item[name]) for name in times},
    }


def create(request: Json, key: str) -> Json:
    """Begin a subscription with its first invoice."""
    params: Any = request
    made = api().perform(
        "subscriptions.create",
        lambda v1: v1.subscriptions.create(params, {"idempotency_key": key}),
        repeatable=False,
        check=_check_items,
    )
    return _changed(made, repeatable=False)


def read(subscription: str) -> Json:
    """One subscription with all its items."""
    seen = api().perform(
        "subscriptions.retrieve",
        lambda v1: v1.subscriptions.retrieve(subscription),
        repeatable=True,
        check=_check_items,
    )
    return whole(seen)


def whole(seen: Json) -> Json:
    """A subscription with all its items, of which it shows the first ones.

    Raises Retryable if it has more than are read, which is 3000; Stripe takes 20.
    """
    if not seen["items"]["has_more"]:
        return seen
    items = calls.all_of(
        "subscription_items.list",
        lambda v1, asked: v1.subscription_items.list(asked),
        {"subscription": seen["id"]},
    )
    return seen | {"items": seen["items"] | {"data": items, "has_more": False}}


def _check_items(seen: Json) -> None:
    """Raise an error that `http.reading` knows if a subscription shows no items."""
    check_list(seen["items"])


def _changed(seen: Json, *, repeatable: bool) -> Json:
    """A subscription with all its items, which a call has just changed.

    Raises Unknown, so that it is looked up, if the items cannot be read: the call has taken effect.
    """
    try:
        return whole(seen)
    except (Retryable, NotServed, Permanent) as err:
        if repeatable:
            raise
        raise Unknown(f"{seen['id']} was changed, but its items were not read") from err


def update(request: Json, key: str | None = None) -> Json:
    """Change the subscription `subscription` by the other parameters of the request.

    Without a key the caller must read the subscription before it sends the request again.
    """
    return _on("update", request, key)


def pause(request: Json, key: str | None = None) -> Json:
    """Pause the subscription. A second call without a key is refused."""
    return _on("pause", request, key)


def resume(request: Json, key: str | None = None) -> Json:
    """Resume the paused subscription. A second call without a key is refused."""
    return _on("resume", request, key)


def cancel(request: Json, *, is_read_again: bool = False) -> Json:
    """End the subscription at once. A second call is refused, and Stripe keeps no key of it.

    `is_read_again`: the caller reads the subscription before it sends the request again.
    """
    params: Any = without(request, "subscription")
    seen = api().perform(
        "subscriptions.cancel",
        lambda v1: v1.subscriptions.cancel(request["subscription"], params),
        repeatable=is_read_again,
        check=_check_items,
    )
    return _changed(seen, repeatable=is_read_again)


def preview(params: Any) -> Json:
    """The invoice that a change would make; it leaves nothing behind."""
    return api().perform(
        "invoices.create_preview", lambda v1: v1.invoices.create_preview(params), repeatable=True
    )


def subscriptions_of(customer: str, since: datetime, until: datetime) -> list[Json]:
    """A customer's subscriptions that began in the interval, also those that have ended, with
    their first items.

    Raises Retryable if there are more than are read. The list is strongly consistent.
    """
    created = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
    params = {"customer": customer, "status": "all", "created": created}
    return calls.all_of(
        "subscriptions.list", lambda v1, asked: v1.subscriptions.list(asked), params
    )


def invoices_of(subscription: str) -> list[Json]:
    """All invoices of a subscription, the newest first."""
    return calls.all_of(
        "invoices.list",
        lambda v1, asked: v1.invoices.list(asked),
        {"subscription": subscription},
    )


def _on(verb: str, request: Json, key: str | None) -> Json:
    params: Any = without(request, "subscription")
    options: Any = {} if key is None else {"idempotency_key": key}
    seen = api().perform(
        f"subscriptions.{verb}",
        lambda v1: getattr(v1.subscriptions, verb)(request["subscription"], params, options),
        repeatable=key is None,
        check=_check_items,
    )
    return _changed(seen, repeatable=key is None)
