"""The numbers of Stripe's test cards, and what is wrong with the data of a card.

https://docs.stripe.com/testing
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ops.sandbox.store import Json
from ops.sandbox.stripe.wire import error

NUMBERS = {
    "4242424242424242": "visa",
    "4000056655665556": "visa_debit",
    "5555555555554444": "mastercard",
    "5200828282828210": "mastercard_debit",
    "5105105105105100": "mastercard_prepaid",
    "378282246310005": "amex",
    "371449635398431": "amex",
    "6011111111111117": "discover",
    "3056930009020004": "diners",
    "3566002020360505": "jcb",
    "6200000000000005": "unionpay",
    "4000001240000000": "ca",
    "4000002500000003": "fr",
    "4000002760000016": "de",
    "4000003800000008": "it",
    "4000005280000002": "nl",
    "4000007240000007": "es",
    "4000008260000000": "gb",
    "4000000000000002": "chargeDeclined",
    "4000000000009995": "chargeDeclinedInsufficientFunds",
    "4000000000009987": "visa_chargeDeclinedLostCard",
    "4000000000009979": "visa_chargeDeclinedStolenCard",
    "4000000000006975": "visa_chargeDeclinedVelocityLimitExceeded",
    "4000000000000069": "chargeDeclinedExpiredCard",
    "4000000000000127": "chargeDeclinedIncorrectCvc",
    "4000000000000119": "chargeDeclinedProcessingError",
    "4000000000000341": "chargeCustomerFail",
    "4100000000000019": "radarBlock",
    "4000000000004954": "riskLevelHighest",
    "4000000000009235": "riskLevelElevated",
    "4000000000000101": "cvcCheckFail",
    "4000000000000036": "avsZipFail",
    "4000000000000028": "avsLine1Fail",
    "4000000000000010": "avsFail",
    "4000000000000044": "avsUnchecked",
    "4000000000000259": "createDispute",
    "4000000000002685": "createDisputeProductNotReceived",
    "4000000000001976": "createDisputeInquiry",
    "4000000404000038": "createCe3EligibleDispute",
    "4000000404000079": "createMultipleDisputes",
    "4000008400000779": "createComplianceDispute",
    "4000000000005423": "createIssuerFraudRecord",
    "4000000000007726": "pendingRefund",
    "4000000000005126": "refundFail",
    "4000000000000077": "bypassPending",
    "4000003720000278": "bypassPendingInternational",
    "4000002500003155": "authenticationRequiredOnSetup",
    "4000002760003184": "authenticationRequired",
    "4000003800000446": "authenticationRequiredSetupForOffSession",
    "4000008260003178": "authenticationRequiredChargeDeclinedInsufficientFunds",
    "4000000000003220": "threeDSecure2Required",
    "4000000000003063": "threeDSecureRequired",
    "4000008400001629": "threeDSecureRequiredChargeDeclined",
    "4000000000003055": "threeDSecureOptional",
}
"""Number -> the name of its payment method, without `pm_card_`."""


def card_of(details: Json, now: int) -> str:
    """Return the test card with the number of a card's data, which is used at `now`.

    Raises Stripe's error for a number that is none, or an expiry that is none or past.
    """
    name = NUMBERS.get(str(details.get("number", "")).replace(" ", ""))
    if name is None:
        raise _wrong("number", "incorrect_number", "Your card number is incorrect.")
    today = datetime.fromtimestamp(now, UTC)
    month, year = _whole(details["exp_month"]), _year(details["exp_year"])
    if not 1 <= month <= 12:
        text = "Your card's expiration month is invalid."
        raise _wrong("exp_month", "invalid_expiry_month", text)
    if not today.year <= year <= today.year + 50:
        raise _wrong("exp_year", "invalid_expiry_year", "Your card's expiration year is invalid.")
    if (year, month) < (today.year, today.month):
        text = "Your card's expiration month is invalid."
        raise _wrong("exp_month", "invalid_expiry_month", text)
    cvc = details.get("cvc")
    if cvc is not None and not (str(cvc).isdecimal() and len(str(cvc)) in (3, 4)):
        raise _wrong("cvc", "invalid_cvc", "Your card's security code is invalid.")
    return f"pm_card_{name}"


def _whole(given: Any) -> int:
    """Return a number, or -1 for what is none."""
    return int(given) if str(given).isdecimal() else -1


def _year(given: Any) -> int:
    """Return a year, of which two digits may be given."""
    year = _whole(given)
    return year + 2000 if 0 <= year < 100 else year


def _wrong(param: str, code: str, message: str) -> Exception:
    return error(402, message, code, param, type_="card_error")
