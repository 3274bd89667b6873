"""Stripe's test cards: which are declined or challenged, and what happens to a charge later.

https://docs.stripe.com/testing
"""

from __future__ import annotations

from ops.sandbox.store import Json

Decline = tuple[str, str | None, str]
"""The code, the decline code and the message of a declined payment."""
DECLINED = "Your card was declined."
_TOO_OFTEN = (
    "Your card was declined for making repeated attempts too frequently or exceeding its amount "
    "limit."
)
DECLINES: dict[str, Decline] = {
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
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": (
        "card_declined", "card_velocity_exceeded",
        _TOO_OFTEN,
    ),
    "pm_card_chargeDeclinedFraudulent": ("card_declined", "fraudulent", DECLINED),
    "pm_card_riskLevelHighest": ("card_declined", "fraudulent", DECLINED),
    "pm_card_radarBlock": ("card_declined", "fraudulent", DECLINED),
    **{
        f"pm_card_{brand}chargeDeclined{what}": decline
        for brand in ("", "visa_")
        for what, decline in (
            ("ExpiredCard", ("expired_card", None, "Your card has expired.")),
            ("IncorrectCvc", (
                "incorrect_cvc", None, "Your card's security code is incorrect.",
            )),
            ("ProcessingError", (
                "processing_error", None,
                "An error occurred while processing your card. Try again in a little bit.",
            )),
        )
    },
}  # fmt: skip
_ADVICE = {
    "generic_decline": ("try_again_later", "01"),
    "insufficient_funds": ("try_again_later", "51"),
    "card_velocity_exceeded": ("try_again_later", "65"),
    "processing_error": ("try_again_later", "96"),
    "expired_card": ("confirm_card_data", "54"),
    "incorrect_cvc": ("confirm_card_data", "82"),
    "lost_card": ("do_not_try_again", "41"),
    "stolen_card": ("do_not_try_again", "43"),
}
"""What to do after a decline, and the network's code for it, by Stripe's code. Those of a generic
decline are Stripe's; the other networks' codes are those of ISO 8583."""
NEEDS_AUTHENTICATION: Decline = (
    "authentication_required", "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)  # fmt: skip
DECLINED_WHEN_AUTHENTICATED: dict[str, Decline] = {
    "pm_card_threeDSecureRequiredChargeDeclined": ("card_declined", "generic_decline", DECLINED),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": (
        "card_declined", "insufficient_funds", "Your card has insufficient funds.",
    ),
}  # fmt: skip
_ONCE_SET_UP = "pm_card_authenticationRequiredOnSetup"
_SET_UP = "pm_card_authenticationRequiredSetupForOffSession"
_CHALLENGED = {
    "pm_card_authenticationRequired": "3184",
    _ONCE_SET_UP: "3155",
    _SET_UP: "0446",
    "pm_card_threeDSecure2Required": "3220",
    "pm_card_threeDSecureRequired": "3063",
    "pm_card_threeDSecureRequiredChargeDeclined": "1629",
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": "3178",
}
_CHALLENGED_IF_ASKED = {"pm_card_threeDSecureOptional": "3055"}
BLOCKED = (
    "pm_card_radarBlock", "pm_card_chargeDeclinedFraudulent", "pm_card_riskLevelHighest",
)  # fmt: skip
"""Cards that Radar blocks, so that the network is not asked."""
_DECLINED_NUMBERS = {
    **dict.fromkeys(DECLINES, "0002"),
    **dict.fromkeys(BLOCKED, "0019"),
    "pm_card_riskLevelHighest": "4954",
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": "6975",
    "pm_card_chargeCustomerFail": "0341",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "9995",
    "pm_card_chargeDeclinedInsufficientFunds": "9995",
    "pm_card_visa_chargeDeclinedLostCard": "9987",
    "pm_card_visa_chargeDeclinedStolenCard": "9979",
    **dict.fromkeys(
        ("pm_card_chargeDeclinedExpiredCard", "pm_card_visa_chargeDeclinedExpiredCard"), "0069"
    ),
    **dict.fromkeys(
        ("pm_card_chargeDeclinedIncorrectCvc", "pm_card_visa_chargeDeclinedIncorrectCvc"), "0127"
    ),
    **dict.fromkeys(
        ("pm_card_chargeDeclinedProcessingError", "pm_card_visa_chargeDeclinedProcessingError"),
        "0119",
    ),
}
BYPASS_PENDING = {"pm_card_bypassPending": "0077", "pm_card_bypassPendingInternational": "0278"}
"""Cards whose funds are available at once."""
DISPUTES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "pm_card_createDispute": (("fraudulent", "chargeback", "10.4"),),
    "pm_card_createDisputeProductNotReceived": (("product_not_received", "chargeback", "13.1"),),
    "pm_card_createDisputeInquiry": (("fraudulent", "inquiry", "10"),),
    "pm_card_createMultipleDisputes": (
        ("fraudulent", "chargeback", "10.4"), ("product_not_received", "chargeback", "13.1"),
    ),
    "pm_card_createCe3EligibleDispute": (("fraudulent", "chargeback", "10.4"),),
    "pm_card_createComplianceDispute": (("noncompliant", "compliance", "98"),),
}  # fmt: skip
"""The reason, the case type and the network's reason code of each dispute."""
ELIGIBLE = {
    "pm_card_createCe3EligibleDispute": "visa_compelling_evidence_3",
    "pm_card_createComplianceDispute": "visa_compliance",
}
"""The enhanced evidence with which the disputes of a card can be answered."""
ISSUER_FRAUD = "pm_card_createIssuerFraudRecord"
ELEVATED_RISK = "pm_card_riskLevelElevated"
REFUNDS = {
    "pm_card_refundFail": ("succeeded", "failed"),
    "pm_card_pendingRefund": ("pending", "succeeded"),
}
"""The status that a refund has first, and the one that it has a while later."""
CHECKS: dict[str, tuple[str, str, str]] = {
    "pm_card_cvcCheckFail": ("0101", "fail", "pass pass"),
    "pm_card_avsZipFail": ("0036", "pass", "pass fail"),
    "pm_card_avsLine1Fail": ("0028", "pass", "fail pass"),
    "pm_card_avsFail": ("0010", "pass", "fail fail"),
    "pm_card_avsUnchecked": ("0044", "pass", "unavailable unavailable"),
}
"""Cards that are charged though a check fails: the last four digits, the check of the security
code, and those of the address's first line and postal code."""
COUNTRIES = {
    "br": "0002", "ca": "0000", "mx": "8001", "au": "0006", "at": "0008", "be": "0004",
    "ch": "0009", "cn": "0002", "de": "0016", "dk": "0001", "es": "0007", "fi": "0001",
    "fr": "0003", "gb": "0000", "hk": "0004", "ie": "0005", "in": "0008", "it": "0008",
    "jp": "0003", "my": "0002", "nl": "0002", "no": "0007", "nz": "0008", "pl": "0005",
    "pt": "0007", "se": "0008", "sg": "0003", "us": "4242",
}  # fmt: skip
"""Cards by the country of their bank, and their last four digits."""
# payment method -> (brand, last four)
CARDS: dict[str, tuple[str, str]] = {
    "pm_card_visa": ("visa", "4242"),
    "pm_card_visa_debit": ("visa", "5556"),
    "pm_card_mastercard": ("mastercard", "4444"),
    "pm_card_mastercard_debit": ("mastercard", "8210"),
    "pm_card_mastercard_prepaid": ("mastercard", "5100"),
    "pm_card_amex": ("amex", "8431"),
    "pm_card_amex_threeDSecureNotSupported": ("amex", "0005"),
    "pm_card_discover": ("discover", "1117"),
    "pm_card_diners": ("diners", "0004"),
    "pm_card_jcb": ("jcb", "0505"),
    "pm_card_unionpay": ("unionpay", "0005"),
    **{f"pm_card_{country}": ("visa", last4) for country, last4 in COUNTRIES.items()},
    **{name: ("visa", last4) for name, (last4, *_) in CHECKS.items()},
    **{
        name: ("visa", last4)
        for numbers in (_DECLINED_NUMBERS, _CHALLENGED, _CHALLENGED_IF_ASKED, BYPASS_PENDING)
        for name, last4 in numbers.items()
    },
    "pm_card_createDispute": ("visa", "0259"),
    "pm_card_createDisputeProductNotReceived": ("visa", "2685"),
    "pm_card_createDisputeInquiry": ("visa", "1976"),
    "pm_card_createMultipleDisputes": ("visa", "0079"),
    "pm_card_createCe3EligibleDispute": ("visa", "0038"),
    "pm_card_createComplianceDispute": ("visa", "0779"),
    ISSUER_FRAUD: ("visa", "5423"),
    ELEVATED_RISK: ("visa", "9235"),
    "pm_card_refundFail": ("visa", "5126"),
    "pm_card_pendingRefund": ("visa", "7726"),
}


def funding(name: str) -> str:
    """Return how a test card is funded."""
    return next((each for each in ("debit", "prepaid") if name.endswith(each)), "credit")


def country(name: str) -> str:
    """Return the country of a test card's bank."""
    code = name.removeprefix("pm_card_")
    return code.upper() if code in COUNTRIES else "US"


def checks(name: str) -> Json:
    """Return what the bank said of a test card's security code and address."""
    cvc, address = CHECKS[name][1:] if name in CHECKS else ("pass", "")
    line1, postal_code = address.split() if address else (None, None)
    return {
        "address_line1_check": line1,
        "address_postal_code_check": postal_code,
        "cvc_check": None if name in DECLINES else cvc,
    }


def decline_details(decline: Decline, card: str) -> Json:
    """Return what a declined payment's error says beside its code: what the bank's answer was, and
    what to do. A card that Radar blocks was not sent to the network, which says nothing of it."""
    code, decline_code, _ = decline
    found: Json = {"decline_code": decline_code} if decline_code else {}
    advice = None if card in BLOCKED else _ADVICE.get(decline_code or code)
    if advice:
        found |= {"advice_code": advice[0], "network_decline_code": advice[1]}
    return found


def is_challenged(card: str, is_asked: bool) -> bool:
    """Return whether a present customer must authenticate; `is_asked`: the request wants it."""
    return card in _CHALLENGED or (is_asked and card in _CHALLENGED_IF_ASKED)


def is_unpaid_off_session(method: Json) -> bool:
    """Return whether the bank declines the card while the customer is absent."""
    card = method.get("sandbox_test_card", "")
    is_set_up = card == _SET_UP or (card == _ONCE_SET_UP and method["customer"] is not None)
    return card in _CHALLENGED and not is_set_up
