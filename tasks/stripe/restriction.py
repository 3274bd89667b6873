"""Recognises that Stripe has restricted the account, so that nothing can be charged for now."""

import re

from app.errors import NotServed, Outcome, Retryable

RESTRICTED = "account_restricted"
_CODES = ("testmode_charges_only",)
_WORDS = re.compile(r"cannot currently make (live )?charges|requirements\.disabled_reason")


def is_told(code: str | None, message: str) -> bool:
    """Whether an error says that the account may not charge.

    Stripe documents a code only for an account that was never activated. Of one that it restricts
    later, the message alone tells. https://docs.stripe.com/error-codes

    >>> is_told("testmode_charges_only", "Your account has not been activated.")
    True
    >>> is_told(None, "Your account cannot currently make live charges.")
    True
    >>> is_told("card_declined", "Your card was declined.")
    False
    """
    return code in _CODES or _WORDS.search(message) is not None


def outcome(message: str, *, is_stored: bool) -> Outcome:
    """The outcome of a call that was refused so. `is_stored`: Stripe repeats an earlier answer."""
    said = f"stripe has restricted the account: {message}"
    if is_stored:
        # Under this key Stripe would say so for a day, also after the account is good again.
        return Retryable(said, code=RESTRICTED, stored=True, is_try=False)
    return NotServed(said, code=RESTRICTED)
