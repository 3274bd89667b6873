"""Which steps rely on a payment method that is attached to a customer.

Invariant: a step that relies on a payment method has a mark of its own in the metadata of it. So no
compensation detaches what another step relies on.
https://docs.stripe.com/api/payment_methods/detach
"""

import hashlib

from app.engine.call import Call
from app.errors import NotServed, Permanent, Retryable
from app.platform import Json
from tasks.stripe.customers.calls import METHODS
from tasks.stripe.marks import CHANGED_BY, metadata_of

ORDER = ("detached", "kept", "already", "nothing")
"""The results of letting go, the most important one first."""
_USED_BY = "used_by"
_MANY = f"{_USED_BY}_many"
"""The mark of all steps for which there is no room: Stripe takes 50 names. It is never removed."""
_MOST_USES = 30


def rely_on(call: Call, payment_method: str, *, is_ours: bool) -> None:
    """Write that the step relies on an attached payment method, and, if `is_ours`, has attached it.

    Stripe takes metadata only once the payment method is attached.
    """
    try:
        found = metadata_of(METHODS.retrieve(payment_method))
    except (Retryable, NotServed, Permanent):
        # It is read only for the number of marks, and the step's work is done.
        found = {}
    own = _mark(call)
    has_room = own in found or len(_others(found, own)) < _MOST_USES
    wanted = {own: call.reference} if has_room else {_MANY: "true"}
    if is_ours:
        wanted[CHANGED_BY] = call.reference
    if not wanted.items() <= found.items():
        METHODS.update(payment_method, {"metadata": wanted})


def let_go(call: Call, seen: Json, customer: str, *, is_ours: bool) -> str:
    """Detach a payment method from this customer, if a step has attached it: `detached`, `already`,
    `nothing`, or `kept` if other steps rely on it. The last of them detaches it.

    `is_ours`: this step has attached it.
    """
    if seen.get("customer") != customer:
        return "already"
    own = _mark(call)
    if own in metadata_of(seen) or (is_ours and _others(metadata_of(seen), own)):
        left = {own: ""} | ({CHANGED_BY: call.reference} if is_ours else {})
        seen = METHODS.update(seen["id"], {"metadata": left})
    if not is_ours and CHANGED_BY not in metadata_of(seen):
        return "nothing"
    if _others(metadata_of(seen), own):
        return "kept"
    METHODS.end("detach", seen["id"])
    return "detached"


def _others(metadata: Json, own: str) -> list[str]:
    return [name for name in metadata if name.startswith(_USED_BY) and name != own]


def _mark(call: Call) -> str:
    return f"{_USED_BY}_{hashlib.sha256(call.reference.encode()).hexdigest()[:16]}"
