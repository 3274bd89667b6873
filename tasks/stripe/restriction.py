"""Recognises that Stripe has restricted the account, so that nothing can be charged for now."""

import re

from app.errors import NotServed

RESTRICTED = "account_restricted"
_CODE = "testmode_charges_only"
_STATUSES = (400, 403)
_WORDS = re.compile(r"your account cannot currently make (live )?charges\b", re.IGNORECASE)


def is_told(status: int, code: str | None, param: str | None, message: str) -> bool:
    """Whether an error says that the account may not charge.

    Stripe documents a code only for an account that was never activated. Of one that it restricts
    later, the message alone tells, from its first word on: further on, and in errors that have a
    code or name a parameter, messages quote what the caller has sent.
    https://docs.stripe.com/error-codes

    >>> is_told(400, "testmode_charges_only", None, "Your account has not been activated.")
    True
    >>> is_told(403, None, None, "Your account cannot currently make live charges.")
    True
    >>> is_told(402, "card_declined", None, "Your card was declined.")
    False
    >>> said = "Your account cannot currently make live charges"
    >>> is_told(404, "resource_missing", "payment_method", f"No such PaymentMethod: '{said}'")
    False
    >>> is_told(400, None, "description", said), is_told(400, None, None, f"Unknown: {said}")
    (False, False)
    """
    if status not in _STATUSES:
        return False
    return code == _CODE or (not code and not param and _WORDS.match(message) is not None)


def outcome(message: str, *, is_stored: bool) -> NotServed:
    """The outcome of a call that was refused so. `is_stored`: Stripe repeats an earlier answer, and
    would for a day under this key, also after the account is good again."""
    said = f"stripe has restricted the account: {message}"
    return NotServed(said, code=RESTRICTED, stored=is_stored)
