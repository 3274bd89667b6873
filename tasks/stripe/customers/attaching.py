"""Attach a payment method to a customer; the compensation detaches it.

Invariant: the metadata of the payment method name the step that has attached it, and the steps that
rely on it. So only what a step has attached is detached, and not before the last of them is undone.
https://docs.stripe.com/api/payment_methods/attach
"""

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent
from app.platform import (
    ActionInput,
    ActionOutput,
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Never,
    Undo,
    action,
)
from tasks.stripe.customers.calls import CUSTOMER, METHODS, PAYMENT_METHOD, own_customer
from tasks.stripe.customers.relying import ORDER, let_go, rely_on
from tasks.stripe.kinds import first_of, is_sent
from tasks.stripe.marks import CHANGED_BY, KEY_LIFE, metadata_of

_OPERATION = "payment_methods.attach"


class AttachInput(ActionInput):
    """The payment method, which a browser has made, and the customer to whom it is attached."""

    payment_method: str = Field(pattern=PAYMENT_METHOD, max_length=255)
    customer: str = Field(pattern=CUSTOMER, max_length=255)


@action("stripe.attach_payment_method", input=AttachInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def attach_payment_method(call: Call, given: AttachInput) -> Json:
    """Attach a payment method to a customer: {payment_method, customer, type}.

    The bank is not asked. A card that is charged later while the customer is away is better saved
    by `stripe.save_payment_method`, which asks it. Stripe attaches no payment method that was used
    before for a payment without a customer, or that was detached. Raises Permanent if another
    customer has it. If the customer has it already, the step succeeds, and undoes nothing.
    """
    request: Json = {"payment_method": given.payment_method, "customer": given.customer}
    if not is_sent(call, _OPERATION):
        before = METHODS.retrieve(given.payment_method)
        request["was_attached"] = before.get("customer") == given.customer
    made = call.once(
        _OPERATION, request, lambda request, key: _attach(call, request, key), is_last=True
    )
    rely_on(call, made["payment_method"], is_ours=made["is_ours"])
    return {name: made[name] for name in AttachedMethod.model_fields}


class AttachedMethod(ActionOutput):
    """The payment method as it is attached."""

    payment_method: str
    customer: str
    type: str


attach_payment_method.describe(
    output=AttachedMethod, example={"payment_method": "pm_1Qx7", "customer": "cus_Qx7"}
)


@attach_payment_method.looked_up
def find_attached(call: Call, intent: Intent) -> LookupAnswer:
    """Read whether the payment method is attached to the customer, and by which step."""
    request = intent.request
    seen = METHODS.retrieve(request["payment_method"])
    is_attached = seen.get("customer") == request["customer"]
    return Found(_summary(call, seen, request)) if is_attached else Never()


@attach_payment_method.compensation
def detach(call: Call, undo: Undo) -> Json:
    """Detach the payment methods that the step has attached; Stripe never attaches them again.

    One on which another step relies is kept, until that step is undone too.
    """
    requests = {
        str(each.request["payment_method"]): each.request
        for each in reversed(undo.intents)
        if each.resolution in (None, "accepted")
    }
    results = []
    for method, request in requests.items():
        seen = METHODS.retrieve(method)
        is_ours = _is_ours(call, seen, request)
        results.append(let_go(call, seen, request["customer"], is_ours=is_ours))
    return {"result": first_of(results, ORDER), "payment_methods": list(requests)}


def _attach(call: Call, request: Json, key: str) -> Json:
    method, customer = request["payment_method"], request["customer"]
    own_customer(call, customer)
    seen = METHODS.retrieve(method)
    if seen.get("customer") == customer:
        # An earlier sending of this step has attached it, or somebody else has.
        return _summary(call, seen, request)
    if seen.get("customer"):
        raise Permanent(
            f"{method} is attached to another customer",
            code="attached_to_other",
            detail={"payment_method": method},
        )
    made = METHODS.do("attach", method, {"customer": customer}, key)
    return _summary(call, made, request)


def _is_ours(call: Call, seen: Json, request: Json) -> bool:
    """Whether the step has attached a payment method that is attached now.

    Until the step has written its mark, it is the step's if it was not attached before.
    """
    mark = metadata_of(seen).get(CHANGED_BY)
    return mark == call.reference or (mark is None and not request["was_attached"])


def _summary(call: Call, seen: Json, request: Json) -> Json:
    found = {"payment_method": seen["id"], "customer": seen["customer"], "type": seen["type"]}
    return found | {"is_ours": _is_ours(call, seen, request)}
