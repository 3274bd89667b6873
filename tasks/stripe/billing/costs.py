"""What a change of a subscription costs, or its undoing, which Stripe says by a preview.

https://docs.stripe.com/api/invoices/create_preview, /billing/subscriptions/prorations
"""

from collections.abc import Sequence

from app.errors import Permanent
from app.money.currencies import shown
from app.platform import Json
from tasks.stripe.billing import subscriptions
from tasks.stripe.catalogue.prices import PRICES


def require_cheap(request: Json, seen: Json) -> None:
    """Raise Permanent if Stripe says that the change costs more than the step may."""
    names = ("items", "proration_behavior", "proration_date")
    details = {name: request[name] for name in names if name in request}
    shows = {"subscription": request["subscription"], "subscription_details": details}
    invoice = subscriptions.preview(shows)
    cost, most = _cost(invoice, request, seen), request["most_amount"]
    if cost > most:
        currency = invoice["currency"]
        raise Permanent(
            f"the change costs {shown(cost, currency)}, more than {shown(most, currency)}",
            code="costs_too_much",
            detail={"subscription": request["subscription"], "amount": cost, "currency": currency},
        )


def _cost(invoice: Json, request: Json, seen: Json) -> int:
    """What a change costs, by the invoice that it would make.

    A change of the interval is invoiced at once, whatever is asked for. Else the preview is that of
    the next invoice, on which only the prorations from the time of the change are of the change.
    Raises Permanent if that preview is too long to be read whole.
    """
    lines = invoice["lines"]
    if request["proration_behavior"] == "always_invoice" or _is_at_once(lines["data"], seen):
        return int(invoice["amount_due"])
    if lines["has_more"]:
        raise Permanent(
            "Stripe does not show all lines of the next invoice: invoice the change `now`",
            code="cost_unknown",
            detail={"subscription": seen["id"]},
        )
    at = request.get("proration_date")
    own = (each for each in lines["data"] if each["period"]["start"] == at)
    return sum(each["amount"] for each in own if is_proration(each))


def _is_at_once(lines: Sequence[Json], seen: Json) -> bool:
    """Whether an invoice begins new periods before the present ones end.

    The line of a metered price is for the period that ends.
    """
    items = seen["items"]["data"]
    end = min(each["current_period_end"] for each in items)
    prices = {each["price"]["id"]: each["price"] for each in items}
    for line in lines:
        is_period = (line.get("parent") or {}).get("subscription_item_details")
        if not is_period or is_proration(line) or line["period"]["start"] >= end:
            continue
        named = line["pricing"]["price_details"]["price"]
        price = prices.get(named) or PRICES.retrieve(named)
        if price["recurring"]["usage_type"] != "metered":
            return True
    return False


def is_proration(line: Json) -> bool:
    """Whether an invoice's line is of a change within a period."""
    parent = line.get("parent") or {}
    kinds = ("invoice_item_details", "subscription_item_details")
    return any((parent.get(kind) or {}).get("proration") for kind in kinds)


def require_free(seen: Json, way_back: Json) -> None:
    """Raise Permanent if a change back would charge the customer at once."""
    names = ("items", "proration_behavior")
    details = {name: way_back[name] for name in names}
    shows = {"subscription": way_back["subscription"], "subscription_details": details}
    # In a trial nothing is charged before its end.
    due = 0 if seen["status"] == "trialing" else subscriptions.preview(shows)["amount_due"]
    if due > 0:
        raise Permanent(
            f"to undo the change would charge the customer {shown(due, seen['currency'])} at once",
            code="undo_charges",
            detail={"subscription": seen["id"], "amount": due, "currency": seen["currency"]},
        )
