"""Who may change an invoice or a subscription that exists, or act on a payment of it.

Both outlive the workflow that has made them: a customer upgrades or cancels months later. So any
workflow of the same organisation may change them.
"""

from app.engine.call import Call
from app.platform import Json
from tasks.stripe.billing import calls
from tasks.stripe.marks import CAPTURED_BY, metadata_of


def require_own(call: Call, seen: Json) -> None:
    """Raise Permanent if a workflow of another organisation has made the invoice or subscription,
    or the subscription that the invoice is for."""
    for mark in _references(seen):
        call.require_own_organisation(seen["id"], mark)


def payment_reference(call: Call, payment: Json, about: str) -> str | None:
    """The mark of the step that has made or captured a PaymentIntent, or else the mark of the step
    that has made the invoice or the subscription which it pays. None if no step of ours has.

    Stripe makes the PaymentIntent of an invoice itself, without the invoice's metadata. Raises
    Permanent, which names the object `about`, if the step belongs to another organisation.
    """
    own = metadata_of(payment)
    mark = own.get("reference") or own.get(CAPTURED_BY)
    found = [mark] if mark else []
    if not found:
        for invoice in calls.invoices_paid_by(payment["id"]):
            found += _references(calls.read_invoice(invoice))
    for each in found:
        call.require_own_organisation(about, each)
    return found[0] if found else None


def _references(seen: Json) -> list[str]:
    """The marks of a subscription, or of an invoice and of the subscription that it is for."""
    details = (seen.get("parent") or {}).get("subscription_details") or {}
    found = (metadata_of(each).get("reference") for each in (seen, details))
    return [each for each in found if each]
