"""The events of Stripe's CLI that the sandbox does not send, with the reason."""

_ISSUING = "Issuing (cards that one issues oneself) is not served."
_METERS = "Usage meters are not served, and the CLI sends usage to a host of its own."
_REGIONS = ("", ".eu", ".gb")
NOT_PASSED = {
    **{
        f"issuing_{what}{region}": _ISSUING
        for what in ("authorization.request", "card.created", "cardholder.created")
        for region in _REGIONS
    },
    "issuing_transaction.created": _ISSUING,
    "issuing_transaction.purchase_details_receipt_updated": _ISSUING,
    "issuing_transaction.updated": _ISSUING,
    "payment_intent.partially_funded": "A PaymentIntent cannot be paid by bank transfer.",
    "subscription_schedule.expiring": (
        "The CLI moves the clock to nine days before the end; Stripe's documentation says seven, "
        "and so does the sandbox."
    ),
    "v1.billing.meter.error_report_triggered": _METERS,
    "v1.billing.meter.no_meter_found": _METERS,
}
