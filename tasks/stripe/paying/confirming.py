"""Confirm a payment that exists: with its customer after a decline, or with another card.

The PaymentIntent of an earlier step stays the same; no second one is made.

Invariant: before a step confirms a PaymentIntent, it writes into its metadata which step does, as
Stripe takes no metadata with a confirmation. That also gives the PaymentIntent the status
`requires_confirmation`, which it keeps until a confirmation arrives. So a confirmation whose answer
was lost is found, and one that was declined is not sent again: neither a second attempt at the card
nor another error takes the place of the decline. https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent
from app.platform import (
    Effect,
    Found,
    Intent,
    Json,
    LookupAnswer,
    Never,
    Undo,
    action,
)
from tasks.stripe import authentication, booking
from tasks.stripe.billing.ownership import payment_reference
from tasks.stripe.client import api
from tasks.stripe.customers.calls import PAYMENT_METHOD
from tasks.stripe.fraud import seen as sightings
from tasks.stripe.kinds import Kind, first_of
from tasks.stripe.marks import CONFIRMED_AFTER, CONFIRMED_BY, KEY_LIFE, claim, metadata_of
from tasks.stripe.paying.holding import (
    RESULTS,
    Authorization,
    SessionInput,
    granted,
    let_go,
    not_held,
    settled,
    summary,
)
from tasks.stripe.wording import id_of, without

_PAYMENTS = Kind("payment_intents")
_OPERATION = "payment_intents.confirm"
_OPEN = ("requires_payment_method", "requires_confirmation")
_ASKED = ("requires_action", "processing")


class ConfirmInput(SessionInput):
    """The PaymentIntent that is confirmed, and the payment method that is charged now; without one,
    that of the attempt before.

    `session` is `on` if the customer is at a browser and can authenticate the payment (3-D Secure).
    Then `return_url` is the page to which the bank sends the customer back; without it, the browser
    must use Stripe.js. `off`: a card that wants authentication is declined. With `off_session` a
    saved payment method is charged while the customer is away. A payment method that is saved must
    be saved for the customer of the payment; one that is saved for no customer serves once.
    """

    payment_intent: str = Field(pattern=r"^pi_\w+$", max_length=255)
    payment_method: str | None = Field(default=None, pattern=PAYMENT_METHOD, max_length=255)


@action("stripe.confirm", input=ConfirmInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def confirm(call: Call, given: ConfirmInput) -> Json:
    """Hold the amount of a payment that was declined or not confirmed: {payment_intent, amount,
    currency, status, capture_before, granted, most_amount}, as `stripe.authorize` does.

    A payment that was declined with `authentication_required` is completed by its customer: with
    `session: on` the step waits for that. Raises Permanent if the payment is declined or cancelled,
    is held or captured already, is charged at once when it is confirmed, needs the customer's
    authentication while nobody is there, or belongs to another workflow.
    """
    answered: list[Json] = []

    def answer(intent: Json) -> Json:
        answered[:] = [intent]
        return _summary(intent)

    known = given.payment_intent
    try:
        held = call.once(
            _OPERATION,
            _request(given),
            lambda request, key: answer(_confirm(call, request, key)),
            is_last=True,
        )
    except Permanent as declined:
        sightings.note_declined(call, declined)
        raise
    held = settled(call, held, given.session, lambda: answer(api().retrieve_payment_intent(known)))
    sightings.note_soon(call, known, answered[0] if answered else None)
    return granted(call, held)


confirm.describe(
    output=Authorization,
    example={
        "payment_intent": "pi_3OqXyz",
        "session": "on",
        "return_url": "https://shop.example.com/thanks",
    },
)
confirm.authentication = authentication.read


@confirm.looked_up
def find_confirmation(call: Call, intent: Intent) -> LookupAnswer:
    """Read which step has confirmed the PaymentIntent; reads by id are strongly consistent."""
    seen = api().retrieve_payment_intent(intent.request["payment_intent"])
    is_marked = _is_marked_now(call.reference, intent.generation, seen)
    if not is_marked or seen["status"] == "requires_confirmation":
        return Never()
    sightings.note_soon(call, seen["id"], seen)
    held = _summary(seen)
    # If the workflow is stopping, the step does not run again.
    booking.hold(call, held)
    return Found(held)


@confirm.compensation
def release(call: Call, undo: Undo) -> Json:
    """Cancel the PaymentIntent that the step has confirmed, which releases the hold.

    A captured PaymentIntent is left alone, because the compensation of `stripe.capture` refunds it;
    so is one that another step has confirmed since.
    """
    confirmed: dict[str, list[Intent]] = {}
    for intent in undo.intents:
        if intent.operation == _OPERATION:
            confirmed.setdefault(str(intent.request["payment_intent"]), []).append(intent)
    results = [_let_go(call, payment, made) for payment, made in confirmed.items()]
    return {"result": first_of(results, RESULTS), "payment_intents": [*confirmed]}


def _let_go(call: Call, payment_intent: str, made: list[Intent]) -> str:
    seen = api().retrieve_payment_intent(payment_intent)
    return let_go(call, seen) if _has_confirmed(call, seen, made) else "nothing"


def _has_confirmed(call: Call, seen: Json, made: list[Intent]) -> bool:
    """Whether the step has confirmed a PaymentIntent last. `made` are its calls."""
    charge = id_of(seen.get("latest_charge"))
    if any(each.response and charge and each.response["charge"] == charge for each in made):
        return True
    return any(map(_may_hold, made)) and _is_marked(call, seen)


def _may_hold(made: Intent) -> bool:
    """Whether a confirmation may have led to a hold. One that was declined has not, whether Stripe
    has said so at once or a lookup has found it."""
    if made.response is None:
        return made.resolution is None
    return bool(made.response["status"] != "requires_payment_method")


def _is_marked(call: Call, seen: Json) -> bool:
    """Whether this step was the last to confirm a PaymentIntent, in any generation."""
    mark: str = metadata_of(seen).get(CONFIRMED_BY) or ""
    return mark.rpartition(" ")[0] == call.reference


def _is_declined(call: Call, seen: Json) -> bool:
    """Whether this generation of the step has confirmed a PaymentIntent, which was declined: the
    worker died after that was recorded of the call, and before it was recorded of the step. It is
    not the decline of an attempt before, since the mark gives the PaymentIntent another status."""
    has_failed = seen["status"] == "requires_payment_method" and seen.get("last_payment_error")
    return bool(has_failed) and _is_marked_now(call.reference, call.generation, seen)


def _is_marked_now(reference: str, generation: int, seen: Json) -> bool:
    """Whether this generation of a step was the last to confirm a PaymentIntent."""
    own: bool = metadata_of(seen).get(CONFIRMED_BY) == f"{reference} {generation}"
    return own


def _request(given: ConfirmInput) -> Json:
    request: Json = {"payment_intent": given.payment_intent, "expand": ["latest_charge"]}
    if given.off_session:
        # A bank that wants authentication then declines the payment.
        request["off_session"] = True
    elif given.session == "off":
        # Without it, the PaymentIntent would wait for a customer who is not there.
        request["error_on_requires_action"] = True
    optional = {"payment_method": given.payment_method, "return_url": given.return_url}
    return request | {name: value for name, value in optional.items() if value}


def _confirm(call: Call, request: Json, key: str) -> Json:
    seen = api().retrieve_payment_intent(request["payment_intent"])
    payment_reference(call, seen, seen["id"])
    claim(call, seen)
    if _is_declined(call, seen):
        raise not_held(summary(seen))
    if seen["status"] not in _OPEN:
        if _is_marked(call, seen) and seen["status"] in ("requires_capture", *_ASKED):
            # An earlier sending has confirmed it, and Stripe may have forgotten that call's key.
            return seen
        raise _not_open(seen)
    if seen["capture_method"] != "manual":
        raise Permanent(
            "the payment would be charged at once, not held: only one whose capture_method is"
            " manual can be confirmed",
            code="not_held",
            detail={"payment_intent": seen["id"]},
        )
    mark = {
        CONFIRMED_BY: f"{call.reference} {call.generation}",
        CONFIRMED_AFTER: id_of(seen.get("latest_charge")) or "",
    }
    method = request.get("payment_method") or _method_of(seen)
    _PAYMENTS.update(seen["id"], {"payment_method": method, "metadata": mark})
    # The payment method is the PaymentIntent's now. If it stood here too, one that serves once
    # would be refused the second time.
    params = without(request, "payment_intent", "payment_method")
    return _PAYMENTS.do("confirm", seen["id"], params, key)


def _method_of(seen: Json) -> str:
    """The payment method of the attempt before: a declined PaymentIntent has none any more, but its
    error names it. Raises Permanent if there is none."""
    failed = (seen.get("last_payment_error") or {}).get("payment_method")
    found = id_of(seen.get("payment_method")) or id_of(failed)
    if found is None:
        raise Permanent(
            "the payment has no payment method that could be charged again: name one",
            code="payment_method_missing",
            detail={"payment_intent": seen["id"]},
        )
    return found


def _not_open(seen: Json) -> Permanent:
    status = seen["status"]
    why, code = f"its status is {status}", "not_to_confirm"
    if status == "canceled":
        reason = seen.get("cancellation_reason") or "no reason given"
        why, code = f"it is canceled ({reason}), and must be authorized anew", "payment_canceled"
    elif status in ("succeeded", "requires_capture"):
        is_held = status == "requires_capture"
        why = "its amount is held already" if is_held else "it is captured already"
        code = "already_held" if is_held else "already_captured"
    elif status in _ASKED:
        why, code = "another confirmation of it has not ended", "already_confirmed"
    return Permanent(
        f"the payment cannot be confirmed: {why}", code=code, detail={"payment_intent": seen["id"]}
    )


def _summary(intent: Json) -> Json:
    """What is recorded: that of any hold, and the charge by which the amount is held."""
    is_held = intent["status"] == "requires_capture"
    charge = id_of(intent.get("latest_charge")) if is_held else None
    return summary(intent) | {"charge": charge}
