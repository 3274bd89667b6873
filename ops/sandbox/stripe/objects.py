"""Stripe's objects in API version 2026-10-28.endive, and its test cards.

https://docs.stripe.com/api/payment_intents/object, /api/charges/object, /api/refunds/object,
https://docs.stripe.com/testing
"""

from __future__ import annotations

import hashlib
import time
from uuid import uuid4

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe import cards
from ops.sandbox.stripe.cards import BLOCKED, CARDS, ELEVATED_RISK, Decline

DAY = 86400
DESCRIPTORS = ("statement_descriptor", "statement_descriptor_suffix")
_OVER_PERCENT = {"visa": 15}
"""By how much more may be captured than was held, by a merchant of no special category.
https://docs.stripe.com/payments/overcapture"""


def new_payment_method(name: str) -> Json:
    """Return the card for a test payment method such as `pm_card_visa`."""
    brand, last4 = CARDS[name]
    return {
        "id": f"pm_1{token62(23)}",
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": _billing(),
        "card": {
            "brand": brand,
            "checks": cards.checks(name),
            "country": cards.country(name),
            "display_brand": brand,
            "exp_month": 11,
            "exp_year": 2027,
            "fingerprint": _fingerprint(brand, last4, cards.country(name)),
            "funding": cards.funding(name),
            "generated_from": None,
            "last4": last4,
            "networks": {"available": [brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": int(time.time()),
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
        "sandbox_test_card": name,
    }


def _fingerprint(brand: str, last4: str, country: str) -> str:
    """Return the fingerprint of a card's number, which all payment methods of the card share."""
    return hashlib.sha256(f"sandbox {brand} {last4} {country}".encode()).hexdigest()[:16]


def _billing() -> Json:
    parts = ("city", "country", "line1", "line2", "postal_code", "state")
    address = dict.fromkeys(parts)
    return {"address": address, "email": None, "name": None, "phone": None, "tax_id": None}


def new_payment_intent(amount: int, currency: str, params: Json, now: int) -> Json:
    """Return an unconfirmed PaymentIntent, created at `now` (Unix seconds)."""
    intent_id = f"pi_3{token62(23)}"
    types = params.get("payment_method_types") or params.get("allowed_payment_method_types")
    automatic = params.get("automatic_payment_methods")
    if automatic is None and types is None:
        automatic = {"enabled": "true"}
    is_automatic = automatic is not None and automatic.get("enabled", "true") == "true"
    intent = {
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
        "created": now,
        "currency": currency,
        "customer": params.get("customer"),
        "customer_account": None,
        "description": params.get("description"),
        "excluded_payment_method_types": params.get("excluded_payment_method_types") or None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": with_options({}, params),
        "payment_method_types": types or ["card"],
        "processing": None,
        "receipt_email": params.get("receipt_email"),
        "review": None,
        "setup_future_usage": params.get("setup_future_usage"),
        "shipping": params.get("shipping"),
        "source": None,
        **dict.fromkeys(DESCRIPTORS),
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": params.get("transfer_group"),
    }
    describe(intent, params)
    return intent


def describe(intent: Json, params: Json) -> None:
    """Set what a payment only shows as it was given, which an update or a capture may change."""
    if "payment_details" in params:
        intent["payment_details"] = params["payment_details"] or None
    intent |= {name: params[name] or None for name in DESCRIPTORS if name in params}
    given = params.get("amount_details") or {}
    shown = ("discount_amount", "shipping", "tax")
    intent["amount_details"] |= {name: given[name] for name in shown if name in given}


def with_options(known: Json, params: Json) -> Json:
    """Return the options of payment methods with those that a request gives."""
    card = {
        "installments": None,
        "mandate_options": None,
        "network": None,
        "request_three_d_secure": "automatic",
        **known.get("card", {}),
    }
    given = params.get("payment_method_options") or {}
    return {**known, **given, "card": card | (given.get("card") or {})}


def taken(charge: Json) -> int:
    """Return what a captured charge has taken, or will take if the bank has not paid it yet."""
    return int(charge["amount_captured"] or charge["amount"])


def new_charge(
    intent: Json, method: Json, decline: Decline | None, now: int, is_authenticated: bool = False
) -> Json:
    """Return the charge of a confirmation at `now`; it has failed if `decline` is given."""
    charge_id = f"ch_3{token62(23)}"
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
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "PLAYALTER",
        "captured": not decline and not is_manual,
        "created": now,
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
        "outcome": _outcome(decline, method.get("sandbox_test_card", "")),
        "paid": not decline,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _card_details(intent, method["card"], decline, now)
        if not is_authenticated
        else _authenticated(_card_details(intent, method["card"], decline, now)),
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


def _card_details(intent: Json, card: Json, decline: Decline | None, now: int) -> Json:
    options = intent["payment_method_options"].get("card", {})
    is_held = intent["capture_method"] == "manual" and not decline

    def granted(name: str) -> bool:
        return is_held and options.get(f"request_{name}") == "if_available"

    is_extended, is_multiple = granted("extended_authorization"), granted("multicapture")
    over = _OVER_PERCENT.get(card["brand"], 0) if granted("overcapture") else 0
    return {
        "card": {
            **{name: card[name] for name in ("brand", "checks", "country", "exp_month")},
            "amount_authorized": None if decline else intent["amount"],
            "authorization_code": None if decline else "123456",
            "capture_before": now + (30 if is_extended else 7) * DAY if is_held else None,
            "exp_year": card["exp_year"],
            "extended_authorization": {"status": "enabled" if is_extended else "disabled"},
            "fingerprint": card["fingerprint"],
            "funding": card["funding"],
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "last4": card["last4"],
            "mandate": None,
            "multicapture": {"status": "available" if is_multiple else "unavailable"},
            "network": card["brand"],
            "network_token": {"used": False},
            "network_transaction_id": None if decline else token62(15),
            "overcapture": {
                "maximum_amount_capturable": intent["amount"] * (100 + over) // 100,
                "status": "available" if over else "unavailable",
            },
            "regulated_status": card["regulated_status"],
            "three_d_secure": None,
            "transaction_link_id": None,
            "wallet": None,
        },
        "type": "card",
    }


def _authenticated(details: Json) -> Json:
    details["card"]["three_d_secure"] = {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": str(uuid4()),
        "version": "2.2.0",
    }
    return details


def _outcome(decline: Decline | None, card: str) -> Json:
    """Return what the network or Radar said (https://docs.stripe.com/declines)."""
    outcome = {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "normal",
        "risk_score": 8,
        "seller_message": "Payment complete.",
        "type": "authorized",
    }
    if decline and card in BLOCKED:
        outcome |= {"network_status": "not_sent_to_network", "reason": "highest_risk_level"}
        outcome |= {"risk_level": "highest", "risk_score": 90, "type": "blocked"}
        outcome["seller_message"] = "Stripe blocked this payment as too risky."
    elif decline:
        outcome |= {"network_status": "declined_by_network", "reason": decline[1] or decline[0]}
        outcome["seller_message"] = "The bank did not return any further details with this decline."
        outcome["type"] = "issuer_declined"
        details = cards.decline_details(decline, card)
        outcome |= {name: details[name] for name in outcome if name in details}
    elif card == ELEVATED_RISK:
        outcome |= {"risk_level": "elevated", "risk_score": 70, "type": "manual_review"}
    return outcome


def new_refund(charge: Json, amount: int, params: Json, now: int) -> Json:
    """Return a refund, made at `now` (Unix seconds), that has succeeded."""
    return {
        "id": f"re_3{token62(23)}",
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
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
        "payment_method": charge["payment_method"],
        "reason": params.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
