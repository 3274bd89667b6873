"""Let a customer pay on a page of Stripe's; the step waits for that.

Invariant: the metadata of a Checkout Session, and of what it makes, contain the step's reference.
At most one page of a step can be paid: an earlier one is expired before another is opened.
The address of the page is not stored. It is read at Stripe for each request (authentication.py).
https://docs.stripe.com/payments/checkout/how-checkout-works
"""

from app.engine.call import Call
from app.errors import Permanent, Suspend
from app.platform import (
    ActionOutput,
    Effect,
    Intent,
    Json,
    LookupAnswer,
    Made,
    Undo,
    action,
)
from tasks.stripe import authentication, booking
from tasks.stripe.checkout.earlier import close_earlier, require_hope
from tasks.stripe.checkout.items import CheckoutInput, request_of, require_time
from tasks.stripe.checkout.undoing import SESSIONS, read, undo_session
from tasks.stripe.customers.calls import own_customer
from tasks.stripe.customers.relying import rely_on
from tasks.stripe.kinds import find_made, first_of, made_by
from tasks.stripe.marks import KEY_LIFE
from tasks.stripe.wording import id_of

CHECKOUT_POLL_SECONDS = 300.0
"""A page is open for up to a day. Webhooks wake the step; a poll finds what they have missed."""
_OPERATION = "checkout.sessions.create"


def _names(operation: str, response: Json) -> Made:
    """The session. So a page that the workflow does not wait for any more is closed."""
    return Made(effect_id=response.get("session"))


@action(
    "stripe.checkout", input=CheckoutInput, effect=Effect.LOOKUP, key_life=KEY_LIFE, names=_names
)
def checkout(call: Call, given: CheckoutInput) -> Json:
    """Open a page of Stripe's, and wait until the customer has paid, or has saved a card there:
    {session, mode, payment_status, payment_intent, setup_intent, payment_method, subscription,
    customer, amount_total, currency}.

    While the step waits, its authentication (`playalter authentication ID STEP`) gives the page's
    address as `redirect_url`. A slow payment method, such as a debit, may take days after the page
    is completed; the step waits for it. A step that is retried by hand closes its earlier page; if
    that was completed meanwhile, and asked for the same, no other is opened. Raises Permanent if
    the page expires before it is completed, or if the payment fails afterwards.
    """
    request = request_of(call, given)
    known = close_earlier(call, _OPERATION, request)
    if known is None:
        is_open = any(each.generation == call.generation for each in call.open_intents())
        made = call.once(
            _OPERATION,
            request,
            lambda request, key: _create(call, request, key, is_open=is_open),
            is_last=True,
        )
        known = str(made["session"])
    seen = call.state_of(known, lambda: read(known), CHECKOUT_POLL_SECONDS)
    if seen["status"] == "expired":
        raise Permanent(
            "the checkout page has expired, and nothing was paid",
            code="checkout_expired",
            detail={"session": known},
        )
    if seen["status"] == "open":
        raise Suspend(known, poll_seconds=CHECKOUT_POLL_SECONDS)
    if seen["payment_status"] == "unpaid":
        require_hope(seen)
        raise Suspend(known, poll_seconds=CHECKOUT_POLL_SECONDS)
    _book(call, seen)
    done = _output(seen)
    if done["payment_method"] is not None and done["customer"] is not None:
        rely_on(call, done["payment_method"], is_ours=True)
    return done


class CheckoutDone(ActionOutput):
    """What the customer has done, with what Stripe has made of it; null is what it has not made.

    `amount_total` is in minor units of the currency.
    """

    session: str
    mode: str
    payment_status: str
    payment_intent: str | None
    setup_intent: str | None
    payment_method: str | None
    subscription: str | None
    customer: str | None
    amount_total: int | None
    currency: str | None


checkout.describe(
    output=CheckoutDone,
    example={
        "line_items": [{"name": "Portrait", "unit_amount": 4900, "currency": "eur"}],
        "success_url": "https://shop.example.com/thanks",
        "cancel_url": "https://shop.example.com/cart",
        "customer_email": "ada@example.com",
        "expires_in_seconds": 3600,
    },
)
checkout.authentication = authentication.read


@checkout.looked_up
def find_session(call: Call, intent: Intent) -> LookupAnswer:
    """Look for the session by its metadata in Stripe's list, which is strongly consistent."""
    return find_made(SESSIONS, intent, _summary)


@checkout.compensation
def take_back(call: Call, undo: Undo) -> Json:
    """Expire a page that is open, refund what was paid, detach a card that was saved, and cancel a
    subscription that was begun.

    Raises Retryable while a slow payment is under way: it can be refunded only when it has come.
    """
    if undo.is_orphan:
        made = [str(undo.external_id)]
    else:
        # The order decides under which number a refund is recorded.
        made = sorted(made_by(call, undo, SESSIONS, "session"))
    results = [undo_session(call, each, number) for number, each in enumerate(made)]
    order = ("refunded", "canceled", "detached", "kept", "expired", "already")
    return {"result": first_of(results, order), "sessions": made}


def _create(call: Call, request: Json, key: str, *, is_open: bool) -> Json:
    if not is_open:
        # What may have been sent already is sent again as it was.
        require_time(call, request)
    if "customer" in request:
        own_customer(call, request["customer"])
    return _summary(SESSIONS.create(request, key))


def _summary(seen: Json) -> Json:
    return {"session": seen["id"], "status": seen["status"]}


def _book(call: Call, seen: Json) -> None:
    """Book what was paid, and count the payment. The webhooks of the charge tell what was paid too,
    also if the step runs no more."""
    charge = (seen.get("payment_intent") or {}).get("latest_charge")
    if isinstance(charge, dict) and charge["captured"]:
        booking.taken(call, charge)


def _output(seen: Json) -> Json:
    setup = seen.get("setup_intent") or {}
    return {
        "session": seen["id"],
        "mode": seen["mode"],
        "payment_status": seen["payment_status"],
        "payment_intent": id_of(seen.get("payment_intent")),
        "setup_intent": id_of(setup or None),
        "payment_method": id_of(setup.get("payment_method")),
        "subscription": id_of(seen.get("subscription")),
        "customer": id_of(seen.get("customer")),
        "amount_total": seen.get("amount_total"),
        "currency": seen.get("currency"),
    }
