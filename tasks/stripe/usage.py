"""Report what a customer has used to a meter of Stripe's; the compensation cancels the report.

Invariant: the identifier of a report names the step and its generation. Stripe takes an identifier
once and refuses it for at least 24 hours, so that a report whose answer was lost counts once.
https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api
"""

import hashlib
from typing import Any

from pydantic import Field

from app.engine.call import Call
from app.errors import Permanent
from app.platform import ActionInput, ActionOutput, Effect, Intent, Json, Undo, action
from tasks.stripe.client import api
from tasks.stripe.customers.calls import CUSTOMER, own_customer
from tasks.stripe.kinds import first_of
from tasks.stripe.marks import KEY_LIFE

_REPORT, _CANCEL = "billing.meter_events.create", "billing.meter_event_adjustments.create"
_KNOWN = "already exists with identifier"
"""So Stripe says that it has a report with the identifier."""
_UNITS = 999_999_999_999


class ReportUsageInput(ActionInput):
    """The customer, the meter's `event_name`, and how much was used.

    A meter may have other names than Stripe's for the two values in the payload of its events:
    `customer_key` and `value_key`.
    """

    customer: str = Field(pattern=CUSTOMER, max_length=255)
    event_name: str = Field(min_length=1, max_length=100)
    value: int = Field(ge=0, le=_UNITS)
    customer_key: str = Field(default="stripe_customer_id", min_length=1, max_length=100)
    value_key: str = Field(default="value", min_length=1, max_length=100)


class ReportedUsage(ActionOutput):
    """The report. `timestamp`, in Unix seconds, is when the step has recorded it."""

    identifier: str
    event_name: str
    customer: str
    value: int
    timestamp: int


@action("stripe.report_usage", input=ReportUsageInput, effect=Effect.IDEMPOTENT, key_life=KEY_LIFE)
def report_usage(call: Call, given: ReportUsageInput) -> Json:
    """Report usage: {identifier, event_name, customer, value, timestamp}.

    Subscriptions with a price of the meter are charged for it after their period. Stripe adds it up
    some minutes later. Raises Permanent if Stripe refuses it, for example for lack of a meter, or
    if the customer is another organisation's.
    """
    request = {
        "event_name": given.event_name,
        "identifier": _identifier(call),
        "payload": {given.customer_key: given.customer, given.value_key: str(given.value)},
        "timestamp": int(call.now().timestamp()),
    }
    made = call.once(
        _REPORT, request, lambda request, key: _report(call, given, request, key), is_last=True
    )
    return {"customer": given.customer, "value": given.value, **made}


def _identifier(call: Call) -> str:
    """By what Stripe knows a report again, whatever key it comes under: that of an earlier report
    which may have been made, although a failure is stored under its key."""
    for each in call.sendings(_REPORT):
        if each.resolution is None:
            return str(each.request["identifier"])
    own = f"{call.reference} {call.generation}"
    return hashlib.sha256(own.encode()).hexdigest()


report_usage.describe(
    output=ReportedUsage,
    example={"customer": "cus_Qx7", "event_name": "pictures", "value": 12},
)


@report_usage.compensation
def cancel_report(call: Call, undo: Undo) -> Json:
    """Cancel what the step has reported. `final`: Stripe does so only for 24 hours."""
    made = [each for each in undo.intents if each.resolution not in ("refused", "never")]
    results = []
    for number, each in enumerate(made):
        call.at(number)
        results.append(_cancel(call, each))
    return {"result": first_of(results, ("final", "canceled", "already"))}


def _cancel(call: Call, intent: Intent) -> str:
    identifier = intent.request["identifier"]
    sent = call.sendings(_CANCEL)
    if any(
        each.resolution == "accepted" and each.request["cancel"]["identifier"] == identifier
        for each in sent
    ):
        return "already"
    if call.age_seconds(intent) >= KEY_LIFE.total_seconds():
        return "final"
    request = {
        "event_name": intent.request["event_name"],
        "type": "cancel",
        "cancel": {"identifier": identifier},
    }
    try:
        call.once(_CANCEL, request, _adjust)
    except Permanent as err:
        if intent.resolution is None and err.code == "resource_missing":
            # The report has never come to Stripe.
            return "nothing"
        raise
    return "canceled"


def _report(call: Call, given: ReportUsageInput, request: Json, key: str) -> Json:
    own_customer(call, given.customer)
    params: Any = request
    try:
        api().perform(
            _REPORT,
            lambda v1: v1.billing.meter_events.create(params, {"idempotency_key": key}),
            repeatable=False,
        )
    except Permanent as err:
        if _KNOWN not in err.message:
            raise
    return {name: request[name] for name in ("identifier", "event_name", "timestamp")}


def _adjust(request: Json, key: str) -> Json:
    params: Any = request
    made = api().perform(
        _CANCEL,
        lambda v1: v1.billing.meter_event_adjustments.create(params, {"idempotency_key": key}),
        repeatable=False,
    )
    return {"status": made["status"]}
