"""Take what is held on a customer's card; the compensation refunds it.

Invariant: the metadata of a PaymentIntent name the step that has captured it. So a step refunds
only what it has taken itself.
https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
"""

from pydantic import Field

from app.engine.call import Call
from app.errors import NotServed, Outcome, Permanent, Retryable, Unknown
from app.money.currencies import fault_of, shown
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
from tasks.stripe import booking
from tasks.stripe.client import StripeApi, api
from tasks.stripe.marks import (
    CAPTURED_BY,
    KEY_LIFE,
    MOST_AMOUNT,
    claim,
    is_captured_by,
    metadata_of,
)
from tasks.stripe.refunds import give_back, refunds_by


class CaptureInput(ActionInput):
    """The PaymentIntent whose held amount is taken.

    `amount` is the part that is taken, in minor units of the payment's currency; the rest is
    released, and cannot be taken later. Without it the whole is taken.
    """

    payment_intent: str = Field(pattern=r"^pi_\w+$", max_length=255)
    amount: int | None = Field(default=None, ge=1, le=MOST_AMOUNT)


@action("stripe.capture", input=CaptureInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def capture(call: Call, given: CaptureInput) -> Json:
    """Take what is held or a part of it: {payment_intent, charge, amount, currency, receipt_url}.

    Raises Permanent if another workflow has made or captured the payment, if less is held, if the
    hold has expired, or if the amount cannot be charged in the payment's currency.
    """
    stripe = api()
    request: Json = {
        "payment_intent": given.payment_intent,
        "metadata": {CAPTURED_BY: call.reference},
    }
    if given.amount is not None:
        request["amount_to_capture"] = given.amount
    taken = call.once(
        "payment_intents.capture",
        request,
        lambda request, key: _capture(stripe, call, request, key),
        is_last=True,
    )
    booking.capture(call, taken)
    return {name: taken[name] for name in Receipt.model_fields}


class Receipt(ActionOutput):
    """What was taken, in minor units of the currency, and Stripe's receipt for the customer."""

    payment_intent: str
    charge: str
    amount: int
    currency: str
    receipt_url: str | None


capture.describe(output=Receipt, example={"payment_intent": "pi_3OqXyz", "amount": 1990})


@capture.looked_up
def find_capture(call: Call, intent: Intent) -> LookupAnswer:
    """Read who has captured the PaymentIntent; Stripe's reads by id are strongly consistent."""
    seen = api().retrieve_payment_intent(intent.request["payment_intent"])
    if not is_captured_by(call, seen) or not _is_wanted(seen, intent.request):
        return Never()
    receipt = _receipt(seen)
    booking.capture(call, receipt)
    return Found(receipt)


@capture.compensation
def refund(call: Call, undo: Undo) -> Json:
    """Refund the captured amount; a second run finds the refund and makes no other.

    A payment that another step has captured is left alone.
    """
    # The recorded requests are read, because they are committed before they are sent. The step's
    # output is missing if the worker died after the capture. A step that was retried by hand may
    # have captured several payments.
    payments = dict.fromkeys(
        str(intent.request["payment_intent"])
        for intent in undo.intents
        if intent.operation == "payment_intents.capture"
    )
    taken = {
        str(intent.response["payment_intent"])
        for intent in undo.intents
        if intent.operation == "payment_intents.capture" and intent.response
    }
    stripe = api()
    results: list[Json] = []
    failure: Outcome | None = None
    for number, payment in enumerate(payments):
        try:
            call.at(number)
            results.append(_give_back(call, stripe, payment, is_ours=payment in taken))
        except (Retryable, NotServed, Permanent, Unknown) as err:
            # One customer does not wait for the other's refund.
            failure = failure or err
    if failure is not None:
        raise failure
    if len(results) <= 1:
        return results[0] if results else {"result": "nothing"}
    order = ("refunded", "already", "nothing")
    found = [each["result"] for each in results]
    return {"result": min(found, key=order.index), "payments": results}


def _give_back(call: Call, stripe: StripeApi, payment_intent: str, *, is_ours: bool) -> Json:
    """Refund one payment, unless another step has captured it (`is_ours`: this step's capture is
    recorded)."""
    known = refunds_by(stripe, payment_intent, call.reference)
    booking.refunds(call, *known)
    seen = stripe.retrieve_payment_intent(payment_intent)
    if seen["status"] != "succeeded":
        return {"result": "nothing", "status": seen["status"]}
    if not is_ours and not is_captured_by(call, seen):
        return {"result": "nothing", "captured_by": metadata_of(seen).get(CAPTURED_BY)}
    # The answer to the capture may have been lost, and the step never have run again.
    booking.capture(call, _receipt(seen))
    return give_back(call, stripe, seen, known)


def _receipt(intent: Json) -> Json:
    charge: Json = intent["latest_charge"]  # expanded by every call that reads it
    return {
        "payment_intent": intent["id"],
        "charge": charge["id"],
        "amount": intent["amount_received"],
        "charged": charge["amount"],
        "currency": intent["currency"],
        "receipt_url": charge.get("receipt_url"),
    }


def _capture(stripe: StripeApi, call: Call, request: Json, key: str) -> Json:
    payment_intent = request["payment_intent"]
    seen = stripe.retrieve_payment_intent(payment_intent)
    if is_captured_by(call, seen) and _is_wanted(seen, request):
        # An earlier sending captured it, and Stripe may have forgotten the key of that call.
        return _receipt(seen)
    claim(call, seen)
    if seen["status"] == "canceled":
        raise _released(seen)
    if seen["status"] == "succeeded" or seen.get("amount_received"):
        # Of a part that somebody else has taken, the compensation could not tell its own.
        raise _captured_already(seen)
    wanted = request.get("amount_to_capture")
    if wanted is not None and (fault := fault_of(wanted, seen["currency"])):
        raise Permanent(fault, code="amount_invalid", detail={"payment_intent": seen["id"]})
    return _receipt(stripe.capture_payment_intent(request, key))


def _is_wanted(seen: Json, request: Json) -> bool:
    """Whether of a captured PaymentIntent as much is taken as the request takes.

    A step that was retried by hand may take another amount than it took before.
    """
    whole = seen["latest_charge"]["amount"]
    return bool(seen["amount_received"] == request.get("amount_to_capture", whole))


def _released(seen: Json) -> Permanent:
    reason = seen.get("cancellation_reason") or "no reason given"
    is_over = reason in ("expired", "automatic")
    why = "its hold has expired" if is_over else f"it was canceled ({reason})"
    return Permanent(
        f"nothing of the payment can be captured: {why}. It must be authorized anew",
        code="hold_expired" if is_over else "payment_canceled",
        detail={"payment_intent": seen["id"]},
    )


def _captured_already(seen: Json) -> Permanent:
    taker = metadata_of(seen).get(CAPTURED_BY) or "somebody else"
    taken = shown(seen["amount_received"], seen["currency"])
    return Permanent(
        f"{taken} of the payment are captured already, by {taker}",
        code="already_captured",
        detail={"payment_intent": seen["id"]},
    )
