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

    https://docs.stripe.com/api/customers/delete
    """
    found = []
    if seen["balance"] or any((seen.get("invoice_credit_balance") or {}).values()):
        found.append("a balance")
    given = {"customer": seen["id"], "limit": 100}
    if any(each["status"] not in ENDED for each in _SUBSCRIPTIONS.page(given)["data"]):
        found.append("a subscription that has not ended")
    if _INVOICES.page(given | {"status": "open", "limit": 1})["data"]:
        found.append("an open invoice")
    return found
