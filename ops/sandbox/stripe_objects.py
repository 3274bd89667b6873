"""Stripe's objects as API version 2026-10-28.endive shows them, and its test cards.

https://docs.stripe.com/api/payment_intents/object, /api/charges/object, /api/refunds/object,
https://docs.stripe.com/testing
"""

from __future__ import annotations

import time
from typing import Any

from ops.sandbox.box import token62
from ops.sandbox.store import Json

CURRENCIES = [
    "usd",
    "aed",
    "afn",
    "all",
    "amd",
    "ang",
    "aoa",
    "ars",
    "aud",
    "awg",
    "azn",
    "bam",
    "bbd",
    "bdt",
    "bgn",
    "bhd",
    "bif",
    "bmd",
    "bnd",
    "bob",
    "brl",
    "bsd",
    "bwp",
    "byn",
    "bzd",
    "cad",
    "cdf",
    "chf",
    "clp",
    "cny",
    "cop",
    "crc",
    "cve",
    "czk",
    "djf",
    "dkk",
    "dop",
    "dzd",
    "egp",
    "etb",
    "eur",
    "fjd",
    "fkp",
    "gbp",
    "gel",
    "gip",
    "gmd",
    "gnf",
    "gtq",
    "gyd",
    "hkd",
    "hnl",
    "hrk",
    "htg",
    "huf",
    "idr",
    "ils",
    "inr",
    "isk",
    "jmd",
    "jod",
    "jpy",
    "kes",
    "kgs",
    "khr",
    "kmf",
    "krw",
    "kwd",
    "kyd",
    "kzt",
    "lak",
    "lbp",
    "lkr",
    "lrd",
    "lsl",
    "mad",
    "mdl",
    "mga",
    "mkd",
    "mmk",
    "mnt",
    "mop",
    "mur",
    "mvr",
    "mwk",
    "mxn",
    "myr",
    "mzn",
    "nad",
    "ngn",
    "nio",
    "nok",
    "npr",
    "nzd",
    "omr",
    "pab",
    "pen",
    "pgk",
    "php",
    "pkr",
    "pln",
    "pyg",
    "qar",
    "ron",
    "rsd",
    "rub",
    "rwf",
    "sar",
    "sbd",
    "scr",
    "sek",
    "sgd",
    "shp",
    "sle",
    "sos",
    "srd",
    "std",
    "szl",
    "thb",
    "tjs",
    "tnd",
    "top",
    "try",
    "ttd",
    "twd",
    "tzs",
    "uah",
    "ugx",
    "uyu",
    "uzs",
    "vnd",
    "vuv",
    "wst",
    "xaf",
    "xcd",
    "xof",
    "xpf",
    "yer",
    "zar",
    "zmw",
    "usdc",
    "btn",
    "ghs",
    "eek",
    "lvl",
    "svc",
    "vef",
    "ltl",
    "sll",
    "mro",
]
MINIMUM = {
    "usd": 50, "aed": 200, "aud": 50, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip
ZERO_DECIMAL = [
    "bif",
    "clp",
    "djf",
    "gnf",
    "jpy",
    "kmf",
    "krw",
    "mga",
    "pyg",
    "rwf",
    "ugx",
    "vnd",
    "vuv",
    "xaf",
    "xof",
    "xpf",
]
SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}

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


def money(amount: int, currency: str) -> str:
    """Return an amount of minor units as Stripe's messages write it."""
    symbol = SYMBOLS.get(currency, "")
    return f"{symbol}{amount:,}" if currency in ZERO_DECIMAL else f"{symbol}{amount / 100:,.2f}"


def new_payment_method(name: str) -> Json:
    """Return the card that a test payment method such as `pm_card_visa` stands for."""
    brand, last4 = CARDS[name]
    return {
        "id": f"pm_1{token62(23)}",
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": _billing(),
        "card": {
            "brand": brand,
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": None if name in DECLINES else "pass",
            },
            "country": "US",
            "display_brand": brand,
            "exp_month": 11,
            "exp_year": 2027,
            "fingerprint": token62(16),
            "funding": "credit",
            "generated_from": None,
            "last4": last4,
            "networks": {"available": [brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": int(time.time()),
        "customer": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
        "sandbox_test_card": name,
    }


def _billing() -> Json:
    parts = ("city", "country", "line1", "line2", "postal_code", "state")
    address = dict.fromkeys(parts)
    return {"address": address, "email": None, "name": None, "phone": None, "tax_id": None}


def new_payment_intent(amount: int, currency: str, params: Json) -> Json:
    """Return a PaymentIntent before its confirmation."""
    intent_id = f"pi_3{token62(23)}"
    types = params.get("payment_method_types")
    automatic = params.get("automatic_payment_methods")
    if automatic is None and types is None:
        automatic = {"enabled": "true"}
    is_automatic = automatic is not None and automatic.get("enabled", "true") == "true"
    return {
        "id": intent_id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": {
            "allow_redirects": (automatic or {}).get("allow_redirects", "always"),
            "enabled": True,
        }
        if is_automatic
        else None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": params.get("capture_method", "automatic_async"),
        "client_secret": f"{intent_id}_secret_{token62(25)}",
        "confirmation_method": params.get("confirmation_method", "automatic"),
        "created": int(time.time()),
        "currency": currency,
        "customer": params.get("customer"),
        "customer_account": None,
        "description": params.get("description"),
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": types or ["card"],
        "processing": None,
        "receipt_email": params.get("receipt_email"),
        "review": None,
        "setup_future_usage": params.get("setup_future_usage"),
        "shipping": params.get("shipping"),
        "source": None,
        "statement_descriptor": params.get("statement_descriptor"),
        "statement_descriptor_suffix": params.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": params.get("transfer_group"),
    }


def new_charge(intent: Json, method: Json, decline: tuple[str, str | None, str] | None) -> Json:
    """Return the charge of a confirmation, failed where the card declines."""
    charge_id = f"ch_3{token62(23)}"
    card: dict[str, Any] = method["card"]
    is_manual = intent["capture_method"] == "manual"
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0 if decline or is_manual else intent["amount"],
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None if decline or is_manual else f"txn_3{token62(23)}",
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "PLAYALTER",
        "captured": not decline and not is_manual,
        "created": int(time.time()),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": decline[0] if decline else None,
        "failure_message": decline[2] if decline else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": _outcome(decline),
        "paid": not decline,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {
            "card": {
                **{name: card[name] for name in ("brand", "checks", "country", "exp_month")},
                "amount_authorized": None if decline else intent["amount"],
                "authorization_code": None if decline else "123456",
                "capture_before": int(time.time()) + 7 * 86400 if is_manual else None,
                "exp_year": card["exp_year"],
                "fingerprint": card["fingerprint"],
                "funding": card["funding"],
                "last4": card["last4"],
                "network": card["brand"],
                "three_d_secure": None,
                "wallet": None,
            },
            "type": "card",
        },
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": f"https://pay.stripe.com/receipts/payment/{token62(40)}",
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "failed" if decline else "succeeded",
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
    }


def _outcome(decline: tuple[str, str | None, str] | None) -> Json:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if decline else "approved_by_network",
        "reason": (decline[1] or decline[0]) if decline else None,
        "risk_level": "normal",
        "risk_score": 8,
        "seller_message": "The bank did not return any further details with this decline."
        if decline
        else "Payment complete.",
        "type": "issuer_declined" if decline else "authorized",
    }


def new_refund(charge: Json, amount: int, params: Json) -> Json:
    """Return a refund that has succeeded."""
    return {
        "id": f"re_3{token62(23)}",
        "object": "refund",
        "amount": amount,
        "balance_transaction": f"txn_3{token62(23)}",
        "charge": charge["id"],
        "created": int(time.time()),
        "currency": charge["currency"],
        "destination_details": {
            "card": {
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def new_customer(params: Json) -> Json:
    """Return a customer."""
    return {
        "id": f"cus_{token62(14)}",
        "object": "customer",
        "address": params.get("address"),
        "balance": 0,
        "created": int(time.time()),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": params.get("description"),
        "discount": None,
        "email": params.get("email"),
        "invoice_prefix": token62(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": params.get("name"),
        "next_invoice_sequence": 1,
        "phone": params.get("phone"),
        "preferred_locales": [],
        "shipping": params.get("shipping"),
        "tax_exempt": "none",
        "test_clock": None,
    }
