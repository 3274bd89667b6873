"""Stripe's test cards: which are declined, and what their numbers end in.

https://docs.stripe.com/testing
"""

from __future__ import annotations

DECLINED = "Your card was declined."
# payment method -> (code, decline code, message)
DECLINES: dict[str, tuple[str, str | None, str]] = {
    "pm_card_chargeDeclined": ("card_declined", "generic_decline", DECLINED),
    "pm_card_visa_chargeDeclined": ("card_declined", "generic_decline", DECLINED),
    "pm_card_chargeCustomerFail": ("card_declined", "generic_decline", DECLINED),
    "pm_card_visa_chargeDeclinedInsufficientFunds": (
        "card_declined", "insufficient_funds", "Your card has insufficient funds.",
    ),
    "pm_card_chargeDeclinedInsufficientFunds": (
        "card_declined", "insufficient_funds", "Your card has insufficient funds.",
    ),
    "pm_card_visa_chargeDeclinedLostCard": ("card_declined", "lost_card", DECLINED),
    "pm_card_visa_chargeDeclinedStolenCard": ("card_declined", "stolen_card", DECLINED),
    "pm_card_chargeDeclinedFraudulent": ("card_declined", "fraudulent", DECLINED),
    "pm_card_radarBlock": ("card_declined", "fraudulent", DECLINED),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", None, "Your card has expired."),
    "pm_card_chargeDeclinedIncorrectCvc": (
        "incorrect_cvc", None, "Your card's security code is incorrect.",
    ),
    "pm_card_chargeDeclinedProcessingError": (
        "processing_error", None,
        "An error occurred while processing your card. Try again in a little bit.",
    ),
}  # fmt: skip
# payment method -> (brand, last four)
CARDS: dict[str, tuple[str, str]] = {
    "pm_card_visa": ("visa", "4242"),
    "pm_card_visa_debit": ("visa", "5556"),
    "pm_card_mastercard": ("mastercard", "4444"),
    "pm_card_mastercard_debit": ("mastercard", "3222"),
    "pm_card_amex": ("amex", "8431"),
    "pm_card_discover": ("discover", "1117"),
    "pm_card_us": ("visa", "4242"),
    "pm_card_gb": ("visa", "0000"),
    "pm_card_de": ("visa", "0006"),
    **dict.fromkeys(DECLINES, ("visa", "0002")),
}
