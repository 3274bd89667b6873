"""Who may change an invoice or a subscription that exists.

Both outlive the workflow that has made them: a customer upgrades or cancels months later. So any
workflow of the same organisation may change them.
"""

from app.engine.call import Call
from app.platform import Json
from tasks.stripe.marks import metadata_of


def require_own(call: Call, seen: Json) -> None:
    """Raise Permanent if a workflow of another organisation has made the invoice or subscription,
    or the subscription that the invoice is for."""
    details = (seen.get("parent") or {}).get("subscription_details") or {}
    for marks in (metadata_of(seen), metadata_of(details)):
        call.require_own_organisation(seen["id"], marks.get("reference"))
