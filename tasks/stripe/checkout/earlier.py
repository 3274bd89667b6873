"""The pages that a step has opened before a person retried it.

Invariant: when another page is opened, no earlier one can be paid any more.
"""

from app.engine.call import Call
from app.errors import Permanent
from app.platform import Intent, Json
from tasks.stripe.checkout.undoing import SESSIONS, expire_open
from tasks.stripe.customers.calls import ENDED
from tasks.stripe.kinds import made_with, too_long
from tasks.stripe.wording import without

_FAILED = {
    "payment_intent": ("requires_payment_method", "canceled"),
    "subscription": ENDED,
}
"""The statuses of what a completed but unpaid session has made, if it is never paid."""


def close_earlier(call: Call, operation: str, request: Json) -> str | None:
    """Expire the pages of the step's earlier generations, also those whose answers were lost.

    Returns the session of a page that was completed before, asked for what the request asks, and is
    paid or may still be paid: the step goes on with it. Raises Retryable if Stripe cannot tell
    whether there is such a page.
    """
    sent = call.sendings(operation)
    if any(each.generation == call.generation for each in sent):
        # They were expired before that.
        return None
    opened = [(session, each) for each in sent for session in _sessions(each)]
    if any(session == call.external_id for session, _ in opened):
        # The step has gone on with it already.
        return call.external_id
    found = None
    for session, intent in opened:
        seen = expire_open(session)
        if seen["status"] == "complete" and _asks(intent, request) and _is_good(seen):
            found = session
    return found


def _sessions(intent: Intent) -> list[str]:
    if intent.response:
        return [str(intent.response["session"])]
    found = made_with(SESSIONS, intent)
    if found is None:
        raise too_long(SESSIONS)
    return [str(each["id"]) for each in found]


def require_hope(seen: Json) -> None:
    """Raise Permanent if a completed session that is not paid will never be."""
    for name, failed in _FAILED.items():
        about = seen.get(name)
        if isinstance(about, dict) and about["status"] in failed:
            error = about.get("last_payment_error") or {}
            raise Permanent(
                error.get("message") or f"the payment has failed: it is {about['status']}",
                code=error.get("code") or "payment_failed",
                detail={"session": seen["id"], name: about["id"]},
            )


def _asks(intent: Intent, request: Json) -> bool:
    """Whether an earlier request asks the customer for the same."""
    return _asked(intent.request) == _asked(request)


def _asked(request: Json) -> Json:
    # The marks name the generation, and differ.
    marked = ("metadata", "payment_intent_data", "setup_intent_data", "subscription_data")
    return without(request, "expires_at", *marked)


def _is_good(seen: Json) -> bool:
    """Whether what a completed session has made is not taken back, and may still be paid."""
    try:
        require_hope(seen)
    except Permanent:
        return False
    charge = (seen.get("payment_intent") or {}).get("latest_charge") or {}
    return not charge.get("refunded")
