"""Change a customer at Stripe; the compensation restores what is still as the step has set it.

Invariant: the recorded request contains the values before the change, which are read before it is
recorded. The metadata name, for each field, the step that has set it last. So a step leaves alone
what another one, such as that of a fork, has set to the same value since.

A value before the change that holds the number of a payment card cannot be recorded: no card number
is stored, and a masked value would be written to Stripe by the compensation. Such a field is not
changed at all. To change it without a way back was rejected: the step would destroy what its author
believes to be restored, and a card number at Stripe is for a person to delete anyway.
https://docs.stripe.com/api/customers/update
"""

import hashlib
from collections.abc import Iterable

from pydantic import Field, model_validator

from app import cards
from app.engine.call import Call
from app.errors import Permanent
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
from tasks.stripe.customers.calls import CUSTOMER, CUSTOMERS, PAYMENT_METHOD, own_customer
from tasks.stripe.customers.creating import Customer
from tasks.stripe.kinds import is_sent, require_own
from tasks.stripe.marks import CHANGED_BY, KEY_LIFE, Metadata, metadata_of
from tasks.stripe.wording import given as known

_DEFAULT = "default_payment_method"
_OPERATION = "customers.update"
_LONGEST = 40
"""Letters of a name in the metadata."""


class UpdateCustomerInput(ActionInput):
    """The customer, and the fields that are changed; at least one is needed.

    Names in `metadata` that are not given keep their values. `default_payment_method` is that of
    the customer's invoices; it must be attached to the customer.
    """

    customer: str = Field(pattern=CUSTOMER, max_length=255)
    email: str | None = Field(default=None, max_length=512, pattern=r"^[^@\s]+@[^@\s]+$")
    name: str | None = Field(default=None, min_length=1, max_length=256)
    phone: str | None = Field(default=None, min_length=1, max_length=20)
    description: str | None = Field(default=None, min_length=1, max_length=350)
    default_payment_method: str | None = Field(default=None, pattern=PAYMENT_METHOD, max_length=255)
    metadata: Metadata = Field(default_factory=dict, max_length=15)

    @model_validator(mode="after")
    def _changes(self) -> "UpdateCustomerInput":
        if not self.metadata and not known(self.model_dump(exclude={"customer", "metadata"})):
            raise ValueError("there is no field to change")
        return self


@action(
    "stripe.update_customer", input=UpdateCustomerInput, effect=Effect.LOOKUP, key_life=KEY_LIFE
)
def update_customer(call: Call, given: UpdateCustomerInput) -> Json:
    """Change fields of a customer: {customer, email, name}.

    Raises Permanent if the customer is deleted, or belongs to another organisation, or if the value
    that a field has now holds the number of a payment card.
    """
    wanted = known(given.model_dump(exclude={"customer", "metadata"}))
    wanted |= {f"metadata.{name}": value for name, value in given.metadata.items()}
    request: Json = {
        "customer": given.customer,
        "set": {name: [value, call.reference] for name, value in wanted.items()},
    }
    if not is_sent(call, _OPERATION):
        seen = own_customer(call, given.customer)
        request["before"] = _before(seen, wanted)
    return call.once(
        _OPERATION,
        request,
        lambda request, key: _change(call, request, key),
        is_last=True,
    )


update_customer.describe(
    output=Customer, example={"customer": "cus_Qx7", "name": "Ada King", "metadata": {"tier": "2"}}
)


@update_customer.looked_up
def find_update(call: Call, intent: Intent) -> LookupAnswer:
    """Read whether the customer is as the step has set it."""
    seen = CUSTOMERS.retrieve(intent.request["customer"])
    return Found(_summary(seen)) if _is_set(seen, intent.request) else Never()


@update_customer.compensation
def restore(call: Call, undo: Undo) -> Json:
    """Give each field the value that it had before the step, if it still has the step's value.

    A step that was retried by hand has changed the customer several times. `left` names, by the
    customer, fields whose earlier value Stripe does not take any more, such as a card that was
    detached since.
    """
    customers = dict.fromkeys(str(each.request["customer"]) for each in undo.intents)
    left: Json = {}
    results = [_restore_one(call, undo, each, left) for each in customers]
    order = ("restored", "already", "nothing")
    result = {"result": min(results, key=order.index, default="nothing")}
    return result | ({"left": left} if left else {})


def _restore_one(call: Call, undo: Undo, customer: str, left: Json) -> str:
    seen = CUSTOMERS.retrieve(customer)
    if seen.get("deleted"):
        return "already"
    require_own(call, seen)
    found: Json = {}
    for intent in reversed(undo.intents):
        # A call that Stripe has refused, or has never got, has changed nothing.
        may_have = intent.resolution in (None, "accepted")
        if not may_have or intent.request["customer"] != customer:
            continue
        for name, state in intent.request["set"].items():
            if found.get(name, _state(seen, name)) == state:
                found[name] = intent.request["before"][name]
    changed = {name: state for name, state in found.items() if state != _state(seen, name)}
    if not changed:
        return "already"
    refused = _restore(customer, changed)
    if refused:
        left[customer] = refused
    return "restored" if len(refused) < len(changed) else "nothing"


def _restore(customer: str, states: Json) -> list[str]:
    """Set fields of a customer to their states; returns those that Stripe refuses."""
    try:
        CUSTOMERS.update(customer, _params(states))
    except Permanent:
        if len(states) == 1:
            return list(states)
        # One of them is at fault, and must not keep the others from being restored.
        return [
            each for name, state in states.items() for each in _restore(customer, {name: state})
        ]
    return []


def _before(seen: Json, wanted: Iterable[str]) -> Json:
    """The values of fields before their change. Raises Permanent if a card number is in one."""
    before = {name: _state(seen, name) for name in wanted}
    if held := [name for name, state in before.items() if _holds_card_number(name, state)]:
        fields = ", ".join(held)
        raise Permanent(
            f"at Stripe {fields} of the customer holds the number of a payment card, which is not"
            " stored, so that the change could not be undone: delete the number at Stripe first",
            code="card_number_held",
            detail={"customer": seen["id"], "fields": held},
        )
    return before


def _holds_card_number(name: str, state: list[str | None]) -> bool:
    return any(value is not None and cards.is_certain(value, name) for value in state)


def _change(call: Call, request: Json, key: str) -> Json:
    seen = own_customer(call, request["customer"])
    if not _is_set(seen, request):
        seen = CUSTOMERS.do("update", request["customer"], _params(request["set"]), key)
    return _summary(seen)


def _is_set(seen: Json, request: Json) -> bool:
    """Whether all fields have the step's values, and name the step."""
    wanted = request["set"]
    return not seen.get("deleted") and all(_state(seen, each) == wanted[each] for each in wanted)


def _state(seen: Json, name: str) -> list[str | None]:
    """The value of a field of a customer, and the step that has set it last; `metadata.x` is the
    name x in the metadata."""
    metadata = metadata_of(seen)
    head, _, rest = name.partition(".")
    if head == "metadata":
        found = metadata.get(rest)
    elif name == _DEFAULT:
        found = (seen.get("invoice_settings") or {}).get(_DEFAULT)
    else:
        found = seen.get(name)
    return [found, metadata.get(_mark(name))]


def _mark(name: str) -> str:
    """The name in the metadata under which a step says that it has set a field."""
    mark = f"{CHANGED_BY}_{name.replace('metadata.', 'm_', 1)}"
    if len(mark) <= _LONGEST:
        return mark
    return f"{CHANGED_BY}_m_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _params(states: Json) -> Json:
    """The parameters of an update; an empty text takes a value away."""
    params: Json = {"metadata": {}}
    for name, (value, mark) in states.items():
        head, _, rest = name.partition(".")
        params["metadata"][_mark(name)] = mark or ""
        if head == "metadata":
            params["metadata"][rest] = value or ""
        elif name == _DEFAULT:
            params["invoice_settings"] = {_DEFAULT: value or ""}
        else:
            params[name] = value or ""
    return params


def _summary(seen: Json) -> Json:
    return {"customer": seen["id"], "email": seen.get("email"), "name": seen.get("name")}
