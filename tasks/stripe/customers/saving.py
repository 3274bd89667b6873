"""Save a payment method for a customer, so that it can be charged while the customer is away.

Invariant: the metadata of a SetupIntent contain the step's reference. So the SetupIntent is found
even if Stripe's answer was lost.
https://docs.stripe.com/payments/save-and-reuse
"""

from typing import Literal

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import Permanent, Retryable, Suspend
from app.platform import (
    ActionInput,
    ActionOutput,
    Effect,
    Intent,
    Json,
    LookupAnswer,
    Undo,
    action,
)
from tasks.stripe import authentication
from tasks.stripe.customers.calls import (
    CUSTOMER,
    METHODS,
    PAYMENT_METHOD,
    SETUPS,
    own_customer,
    owner_of,
)
from tasks.stripe.customers.relying import ORDER, let_go, rely_on
from tasks.stripe.kinds import find_made, first_of, is_sent, made_by
from tasks.stripe.marks import KEY_LIFE, POLL_SECONDS, metadata_of, own_marks

_OPERATION = "setup_intents.create"
WAS_ATTACHED = "was_attached"
"""The name in a SetupIntent's metadata: whether the payment method was the customer's before."""


class SaveInput(ActionInput):
    """The payment method, which a browser has made, and the customer for whom it is saved.

    `session` is `on` if the customer is at a browser and can authenticate (3-D Secure). Then
    `return_url` is the page to which the bank sends the customer back; without it, the browser must
    use Stripe.js. `off`: a card whose bank wants authentication is refused. `usage` says whether
    the customer will be there when it is charged; `off_session` suits both.
    """

    customer: str = Field(pattern=CUSTOMER, max_length=255)
    payment_method: str = Field(pattern=PAYMENT_METHOD, max_length=255)
    usage: Literal["off_session", "on_session"] = "off_session"
    session: Literal["off", "on"] = "off"
    return_url: str | None = Field(default=None, max_length=2048, pattern=r"^https?://[^\s]+$")

    @model_validator(mode="after")
    def _comes_back(self) -> "SaveInput":
        if self.return_url is not None and self.session == "off":
            raise ValueError("a return_url is only for a customer who is there: set session to on")
        return self


@action("stripe.save_payment_method", input=SaveInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def save_payment_method(call: Call, given: SaveInput) -> Json:
    """Save a card for later charges: {setup_intent, payment_method, customer, status}.

    With `session: on` the step waits while the customer authenticates. A customer who never comes
    is waited for until the step's time-out; its compensation cancels the SetupIntent. Raises
    Permanent if the bank declines the card, or wants the customer's authentication while nobody is
    there. `stripe.authorize` charges what is saved, with this customer.
    """
    owner = None if is_sent(call, _OPERATION) else owner_of(given.payment_method)
    made = call.once(
        _OPERATION,
        _setup(call, given, owner),
        lambda request, key: _create(call, request, key),
        is_last=True,
    )
    known = made["setup_intent"]
    unfinished = ("processing", "requires_action") if given.session == "on" else ("processing",)
    if made["status"] in unfinished:
        made = call.state_of(known, lambda: _summary(SETUPS.retrieve(known)), POLL_SECONDS)
    if made["status"] in unfinished:
        raise Suspend(known, poll_seconds=POLL_SECONDS)
    if made["status"] != "succeeded":
        raise _refused(made)
    rely_on(call, made["payment_method"], is_ours=not made["was_attached"])
    return {name: made[name] for name in SavedMethod.model_fields}


class SavedMethod(ActionOutput):
    """The SetupIntent, and the payment method that is attached to the customer now."""

    setup_intent: str
    payment_method: str
    customer: str
    status: str


save_payment_method.describe(
    output=SavedMethod,
    example={
        "customer": "cus_Qx7",
        "payment_method": "pm_1Qx7",
        "session": "on",
        "return_url": "https://shop.example.com/cards",
    },
)
save_payment_method.authentication = authentication.read


@save_payment_method.looked_up
def find_setup(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the SetupIntent by its metadata in Stripe's list, which is strongly consistent."""
    return find_made(SETUPS, intent, _summary)


@save_payment_method.compensation
def forget(call: Call, undo: Undo) -> Json:
    """Detach what the step has saved, and cancel what is not saved yet.

    A payment method that the customer had before the step is left alone, and one on which another
    step relies is kept, until that step is undone too.
    """
    made = made_by(call, undo, SETUPS, "setup_intent")
    results = [undo_setup(call, SETUPS.retrieve(each)) for each in made]
    return {
        "result": first_of(results, ("detached", "canceled", *ORDER[1:])),
        "setup_intents": made,
    }


def undo_setup(call: Call, seen: Json) -> str:
    """Take back a SetupIntent: `detached`, `kept`, `canceled`, `already` or `nothing`.

    Raises Retryable while Stripe still works on it.
    """
    status = seen["status"]
    if status == "canceled":
        return "already"
    if status == "processing":
        raise Retryable("Stripe still saves the card", code="processing", after=POLL_SECONDS)
    if status != "succeeded":
        SETUPS.end("cancel", seen["id"])
        return "canceled"
    if not seen.get("customer"):
        return "nothing"
    method = METHODS.retrieve(seen["payment_method"])
    return let_go(call, method, seen["customer"], is_ours=not _was_attached(seen))


def _setup(call: Call, given: SaveInput, owner: str | None) -> Json:
    was_attached = "true" if owner == given.customer else "false"
    request: Json = {
        "customer": given.customer,
        "payment_method": given.payment_method,
        # Version endive of the API refuses `payment_method_types`.
        "allowed_payment_method_types": ["card"],
        "usage": given.usage,
        "confirm": True,
        "metadata": own_marks(call) | {WAS_ATTACHED: was_attached},
    }
    return request | ({"return_url": given.return_url} if given.return_url else {})


def _was_attached(seen: Json) -> bool:
    return metadata_of(seen).get(WAS_ATTACHED) == "true"


def _create(call: Call, request: Json, key: str) -> Json:
    own_customer(call, request["customer"])
    return _summary(SETUPS.create(request, key))


def _refused(made: Json) -> Permanent:
    status = made["status"]
    code = "setup_canceled" if status == "canceled" else "authentication_required"
    return Permanent(
        made["error"] or f"the card cannot be saved: the status of the SetupIntent is {status}",
        code=made["error_code"] or code,
        detail={"setup_intent": made["setup_intent"]},
    )


def _summary(seen: Json) -> Json:
    error = seen.get("last_setup_error") or {}
    return {
        "setup_intent": seen["id"],
        "payment_method": seen.get("payment_method"),
        "customer": seen.get("customer"),
        "status": seen["status"],
        "was_attached": _was_attached(seen),
        "error": error.get("message"),
        "error_code": error.get("code"),
    }
