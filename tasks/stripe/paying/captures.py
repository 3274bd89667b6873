"""Take what is held on a customer's card; the compensation refunds it.

Invariant: the metadata of a PaymentIntent name the step that has captured it, or each step that has
captured a part of it. So a step refunds only what it has taken itself.
https://docs.stripe.com/payments/place-a-hold-on-a-payment-method
"""

from pydantic import Field, model_validator

from app.engine.call import Call
from app.errors import NotServed, Outcome, Permanent, Retryable, Unknown
from app.money.currencies import fault_of, shown
from app.money.facts import Money
from app.money.statements import is_same
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
from tasks.stripe import booking, books
from tasks.stripe.client import StripeApi, api
from tasks.stripe.kinds import Kind, is_sent
from tasks.stripe.marks import (
    CAPTURED_BY,
    KEY_LIFE,
    MOST_AMOUNT,
    claim,
    is_captured_by,
    metadata_of,
    part_mark,
    parts_of,
)
from tasks.stripe.paying.refunds import give_back, refunds_by
from tasks.stripe.urgency import on_hold
from tasks.stripe.wording import id_of, without

_TRANSACTIONS = Kind("balance_transactions")
_OPERATION = "payment_intents.capture"


class CaptureInput(ActionInput):
    """The PaymentIntent whose held amount is taken.

    `amount` is the part that is taken, in minor units of the payment's currency; the rest is
    released, and cannot be taken later. Without it the whole is taken. If `overcapture` was granted
    it may be more than is held, up to `most_amount`. If `multicapture` was
    granted, several steps may take an amount each: `final` is false for all but the last, which
    releases the rest by true. An amount of 0 with it only releases the rest.
    """

    payment_intent: str = Field(pattern=r"^pi_\w+$", max_length=255)
    amount: int | None = Field(default=None, ge=0, le=MOST_AMOUNT)
    final: bool | None = None

    @model_validator(mode="after")
    def _says_its_part(self) -> "CaptureInput":
        if self.final is not None and self.amount is None:
            raise ValueError("one of several captures needs its amount")
        if self.amount == 0 and not self.final:
            raise ValueError(
                "the amount must be greater than or equal to 1; a final capture may take 0, which"
                " releases the rest"
            )
        return self


@action("stripe.capture", input=CaptureInput, effect=Effect.LOOKUP, key_life=KEY_LIFE)
def capture(call: Call, given: CaptureInput) -> Json:
    """Take what is held or a part of it: {payment_intent, charge, amount, currency, receipt_url}.

    Raises Permanent if another workflow has made or captured the payment, if the amount is more
    than may be captured, if the hold has expired, or if the amount cannot be charged in the
    payment's currency.
    """
    stripe = api()
    with on_hold():
        taken = call.once(
            _OPERATION,
            _request(call, stripe, given),
            lambda request, key: _capture(stripe, call, request, key),
            is_last=True,
        )
    _book(call, taken)
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
    with on_hold():
        seen = api().retrieve_payment_intent(intent.request["payment_intent"])
    if not _is_taken(call, seen, intent.request):
        return Never()
    receipt = _receipt(seen, intent.request)
    _book(call, receipt)
    return Found(receipt)


@capture.compensation
def refund(call: Call, undo: Undo) -> Json:
    """Refund the captured amount; a second run finds the refund and makes no other.

    A payment that another step has captured is left alone.
    """
    # The recorded requests are read, because they are committed before they are sent. The step's
    # output is missing if the worker died after the capture. A step that was retried by hand may
    # have captured several payments.
    payments: dict[str, list[Intent]] = {}
    for intent in undo.intents:
        if intent.operation == _OPERATION:
            payments.setdefault(str(intent.request["payment_intent"]), []).append(intent)
    stripe = api()
    results: list[Json] = []
    failure: Outcome | None = None
    for number, (payment, made) in enumerate(payments.items()):
        try:
            call.at(number)
            results.append(_give_back(call, stripe, payment, made))
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


def _give_back(call: Call, stripe: StripeApi, payment_intent: str, made: list[Intent]) -> Json:
    """Refund one payment, unless another step has captured it. `made` are the step's captures."""
    known = refunds_by(stripe, payment_intent, call.reference)
    booking.refunds(call, *known)
    seen = stripe.retrieve_payment_intent(payment_intent)
    if parts := [each for each in made if _is_part(each.request)]:
        return _give_parts_back(call, stripe, seen, parts, known)
    if seen["status"] != "succeeded":
        return {"result": "nothing", "status": seen["status"]}
    is_ours = any(each.response for each in made)
    if not is_ours and not is_captured_by(call, seen):
        return {"result": "nothing", "captured_by": metadata_of(seen).get(CAPTURED_BY)}
    # The answer to the capture may have been lost, and the step never have run again.
    _book(call, _receipt(seen, made[-1].request))
    return give_back(call, stripe, seen, known)


def _give_parts_back(
    call: Call, stripe: StripeApi, seen: Json, parts: list[Intent], known: list[Json]
) -> Json:
    """Refund the parts of a payment that this step has taken, as far as they are not refunded."""
    own = [each for each in parts if each.response or _is_taken(call, seen, each.request)]
    if not own:
        return {"result": "nothing", "status": seen["status"]}
    left = seen["amount_received"] - seen["latest_charge"]["amount_refunded"]
    taken = sum(each.request["amount_to_capture"] for each in own)
    try:
        if not taken:
            return {"result": "nothing", "status": seen["status"]}
        return give_back(call, stripe, seen, known, min(taken, left))
    finally:
        # What the books need to know does not hold up the customer's money.
        for each in own:
            receipt = _receipt(seen, each.request)
            booking.part(call, receipt, _known_transaction(call, receipt))


def _request(call: Call, stripe: StripeApi, given: CaptureInput) -> Json:
    request: Json = {
        "payment_intent": given.payment_intent,
        "metadata": {CAPTURED_BY: call.reference},
    }
    if given.amount is not None:
        request["amount_to_capture"] = given.amount
    if given.final is not None:
        request["metadata"] = {part_mark(call): f"{given.amount} {call.reference}"}
        request["final_capture"] = given.final
        if is_sent(call, _OPERATION):
            # The request is recorded.
            return request
        seen = stripe.retrieve_payment_intent(given.payment_intent)
        # The part's own balance transaction is the first that is not among them.
        request["known"] = _transactions_of((seen.get("latest_charge") or {}).get("id"))
    return request


def _transactions_of(charge: str | None) -> list[str]:
    """The balance transactions by which a charge was captured, oldest first."""
    return [] if charge is None else [each["id"] for each in _listed(charge)]


def _listed(charge: str) -> list[Json]:
    listed: list[Json] = _TRANSACTIONS.page({"source": charge, "type": "charge", "limit": 100})[
        "data"
    ]
    return listed[::-1]


def _book(call: Call, taken: Json) -> None:
    if taken.get("in_parts"):
        booking.part(call, taken, _transaction(call, taken))
    else:
        booking.capture(call, taken)


def _known_transaction(call: Call, taken: Json) -> str | None:
    """As `_transaction`; also None if Stripe does not list the transactions now."""
    try:
        return _transaction(call, taken)
    except (Retryable, NotServed, Permanent, Unknown):
        return None


def _transaction(call: Call, taken: Json) -> str | None:
    """The balance transaction of a part; None if it cannot be told.

    Other steps may capture parts at the same moment. So of those that were not there before, it is
    one of the part's amount that is not booked yet.
    """
    if taken["known"] is None:
        return taken["transaction"] if taken["amount"] else None
    if not taken["amount"]:
        return None
    part = Money.of(taken["amount"], taken["currency"])
    fitting = [
        each["id"]
        for each in _listed(taken["charge"])
        if each["id"] not in taken["known"]
        and is_same(Money.of(each["amount"], each["currency"]), part, each.get("exchange_rate"))
    ]
    return booking.first_for(call, fitting)


def _receipt(intent: Json, request: Json) -> Json:
    charge: Json = intent["latest_charge"]  # expanded by every call that reads it
    is_part = _is_part(request)
    return {
        "payment_intent": intent["id"],
        "charge": charge["id"],
        "amount": request["amount_to_capture"] if is_part else intent["amount_received"],
        "charged": books.held_of(charge),
        "currency": intent["currency"],
        "receipt_url": charge.get("receipt_url"),
        "in_parts": books.is_in_parts(charge),
        "is_last": not is_part or intent["status"] == "succeeded",
        "known": request.get("known"),
        "transaction": id_of(charge.get("balance_transaction")),
    }


def _capture(stripe: StripeApi, call: Call, request: Json, key: str) -> Json:
    payment_intent = request["payment_intent"]
    seen = stripe.retrieve_payment_intent(payment_intent)
    if _is_taken(call, seen, request):
        # An earlier sending captured it, and Stripe may have forgotten the key of that call.
        return _receipt(seen, request)
    claim(call, seen)
    if seen["status"] == "canceled":
        raise _released(seen)
    by_others = (seen.get("amount_received") or 0) - (parts_of(seen) if _is_part(request) else 0)
    if seen["status"] == "succeeded" or by_others:
        # Of a part that somebody else has taken, the compensation could not tell its own.
        raise _captured_already(seen)
    wanted = request.get("amount_to_capture")
    if wanted is not None and (fault := fault_of(wanted, seen["currency"])):
        raise Permanent(fault, code="amount_invalid", detail={"payment_intent": seen["id"]})
    captured = stripe.capture_payment_intent(without(request, "known"), key)
    return _receipt(captured, request)


def _is_part(request: Json) -> bool:
    """Whether the request takes one part of several."""
    return "final_capture" in request


def _is_taken(call: Call, seen: Json, request: Json) -> bool:
    """Whether the request has captured the PaymentIntent, or its part of it."""
    if not _is_part(request):
        return is_captured_by(call, seen) and _is_wanted(seen, request)
    return bool(request["metadata"].items() <= metadata_of(seen).items())


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
    if parts_of(seen) >= seen["amount_received"]:
        taker = "other steps, in parts"
    return Permanent(
        f"{taken} of the payment are captured already, by {taker}",
        code="already_captured",
        detail={"payment_intent": seen["id"]},
    )
