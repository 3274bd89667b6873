"""What the actions about customers call, and what belongs to a customer.

Invariant: a step uses only a customer of its own organisation, or one made outside of Playalter.
"""

from app.engine.call import Call
from app.errors import Permanent
from app.platform import Json
from tasks.stripe.kinds import Kind, require_own

CUSTOMERS = Kind("customers")
METHODS = Kind("payment_methods")
SETUPS = Kind("setup_intents")
_SUBSCRIPTIONS = Kind("subscriptions")
_INVOICES = Kind("invoices")
_PAYMENTS = Kind("payment_intents")
BALANCES = ("invoice_credit_balance", "cash_balance")
_HANGING: tuple[tuple[str, Kind, Json], ...] = (
    ("a saved payment method", METHODS, {}),
    ("an open invoice", _INVOICES, {"status": "open"}),
    ("a draft of an invoice", _INVOICES, {"status": "draft"}),
    ("an item for the next invoice", Kind("invoice_items"), {"pending": True}),
    ("a schedule that has not begun", Kind("subscription_schedules"), {"scheduled": True}),
)
_FINAL = ("succeeded", "canceled")
ENDED = ("canceled", "incomplete_expired")
CUSTOMER = r"^cus_\w+$"
PAYMENT_METHOD = r"^(pm|card|src)_\w+$"


def own_customer(call: Call, customer: str) -> Json:
    """Read a customer that the step may use.

    Raises Permanent if the customer does not exist, or is another organisation's.
    """
    seen = CUSTOMERS.retrieve(customer)
    require_own(call, seen)
    return seen


def owner_of(payment_method: str) -> str | None:
    """The customer to whom a payment method is attached; None if it is attached to no customer.

    Stripe makes a payment method of its own of the name of a test card, such as `pm_card_visa`. So
    such a name has no owner.
    """
    try:
        seen = METHODS.retrieve(payment_method)
    except Permanent as err:
        if err.code == "resource_missing":
            return None
        raise
    owner = seen.get("customer")
    return None if owner is None else str(owner)


def value_of(seen: Json) -> list[str]:
    """What of value hangs on a customer, in words; Stripe would end it with the customer.

    The customer is read with its BALANCES. https://docs.stripe.com/api/customers/delete
    """
    found = []
    cash = (seen.get("cash_balance") or {}).get("available") or {}
    credit = seen.get("invoice_credit_balance") or {}
    if seen["balance"] or any(cash.values()) or any(credit.values()):
        found.append("a balance")
    of: Json = {"customer": seen["id"]}
    if any(each["status"] not in ENDED for each in _newest(_SUBSCRIPTIONS, of)):
        found.append("a subscription that has not ended")
    if any(each["status"] not in _FINAL for each in _newest(_PAYMENTS, of)):
        found.append("a payment that is not final")
    for said, kind, more in _HANGING:
        if kind.page(of | more | {"limit": 1})["data"]:
            found.append(said)
    return found


def _newest(kind: Kind, of: Json) -> list[Json]:
    """The newest hundred objects of a kind that a customer has."""
    found: list[Json] = kind.page(of | {"limit": 100})["data"]
    return found
