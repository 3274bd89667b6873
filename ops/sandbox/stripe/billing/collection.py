"""What becomes of an invoice after it is a draft: open, then paid, void or uncollectible.

Invariant: an invoice is paid through a PaymentIntent of its own, and becomes paid when that has
succeeded, whoever has confirmed it. https://docs.stripe.com/invoicing/overview#invoice-lifecycle
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.billing.balances import apply_balance, carry_small
from ops.sandbox.stripe.billing.lines import due
from ops.sandbox.stripe.billing.retries import plan_retry
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call, reply

NO_METHOD = (
    "This customer has no attached payment source or default payment method. Please consider "
    "adding a default payment method. For more information, visit "
    "https://stripe.com/docs/billing/payment-methods#set-default-payment-method"
)
_NEEDS_ACTION = (
    "This payment requires additional user action before it can be completed successfully. Payment "
    "can be completed using the `PaymentIntent` associated with the invoice."
)
Settled = Callable[[Call | None, Json], None]


class Collection:
    """Finalizes invoices and collects what is due."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        desk.listeners.append(self._heard)
        self.when_settled: list[Settled] = []
        """Called with an invoice that has just been paid."""
        self.when_voided: list[Settled] = []
        """Called with an invoice that has just been voided."""

    def finalize_by_hand(self, call: Call, given: Json, invoice: Json) -> Json:
        """Finalize a draft, and collect at once what is to be collected automatically."""
        if invoice["status"] != "draft":
            message = (
                "This invoice is already finalized, you can't re-finalize a non-draft invoice."
            )
            raise error(400, message, "invoice_not_editable")
        if "auto_advance" in given:
            invoice["auto_advance"] = given["auto_advance"]
        self.finalize(call, invoice)
        collects = invoice["auto_advance"] and invoice["collection_method"] != "send_invoice"
        if collects and invoice["status"] == "open":
            method = self.method_of(invoice)
            self.attempt(call, invoice, method) if method else None
        return self.desk.own("invoice", invoice["id"])

    def finalize(self, call: Call, invoice: Json) -> None:
        """Open an invoice: number it, apply the customer's balance, and make its PaymentIntent."""
        customer = self.desk.own("customer", invoice["customer"])
        now = self.desk.clock_time(invoice["test_clock"])
        if invoice["number"] is None:
            number = customer["next_invoice_sequence"]
            invoice["number"] = f"{customer['invoice_prefix']}-{number:04}"
            customer["next_invoice_sequence"] = number + 1
            self.desk.put(customer)
        invoice |= {"status": "open", "automatically_finalizes_at": None}
        invoice["effective_at"] = invoice["effective_at"] or now
        invoice["status_transitions"]["finalized_at"] = now
        page = f"https://invoice.stripe.com/i/acct_sandbox/test_{token62(40)}"
        invoice |= {"hosted_invoice_url": page, "invoice_pdf": f"{page}/pdf"}
        invoice["webhooks_delivered_at"] = now
        apply_balance(self.desk, call, customer, invoice)
        due(invoice)
        carry_small(self.desk, call, customer, invoice)
        due(invoice)
        if invoice["amount_due"] > 0:
            self._request(call, invoice)
        self.desk.save(call, invoice, "invoice.finalized")
        self.desk.note(call, "invoices.finalized", invoice, amount=invoice["amount_due"])
        if invoice["amount_due"] == 0:
            self._settle(call, invoice)

    def pay(self, call: Call, given: Json, invoice: Json) -> Json | Response:
        """Pay an invoice now; a declined card leaves it open and gives Stripe's 402."""
        if invoice["status"] == "draft":
            self.finalize(call, invoice)
        elif invoice["status"] != "open" and invoice["status"] != "uncollectible":
            word = "already paid" if invoice["status"] == "paid" else "voided"
            raise error(400, f"Invoice is {word}", "invoice_not_open")
        if invoice["status"] == "paid":
            return invoice
        if given.get("paid_out_of_band"):
            invoice["amount_paid"] = 0
            self._cancel_request(call, invoice, "abandoned")
            self._settle(call, invoice, out_of_band=True)
            return invoice
        named = given.get("payment_method") or given.get("source")
        method = self._checked(invoice, named) if named else self.method_of(invoice)
        if method is None:
            raise error(400, NO_METHOD, "resource_missing")
        refused = self.attempt(call, invoice, method)
        return refused or self.desk.own("invoice", invoice["id"])

    def attempt(
        self, call: Call, invoice: Json, method: str, *, retries: bool = False
    ) -> Response | None:
        """Confirm the PaymentIntent of an open invoice; return the 402 if that fails.

        With `retries`, a failure sets the time of the next attempt.
        """
        self.desk.put(self.desk.own("invoice", invoice["id"]) | {"sandbox_retries_on": retries})
        intent = self.intent_of(invoice)
        assert intent is not None, "an open invoice with something due has a PaymentIntent"
        given = {"payment_method": method, "off_session": "true"}
        answer = self.desk.payments.confirm(call, intent, given)
        body = self.desk.body_of(answer)
        if answer.status_code == 200 and body["status"] != "requires_action":
            return None
        failed = body.get("error", {})
        if body.get("status") == "requires_action":
            self._failed(call, invoice["id"], {"code": "authentication_required"})
        if not failed or failed.get("code") == "authentication_required":
            refusal = error(
                402, _NEEDS_ACTION, "invoice_payment_intent_requires_action", type_="card_error"
            )
            return refusal.response()
        return reply(body, answer.status_code)

    def void(self, call: Call, given: Json, invoice: Json) -> Json:
        """Void an open invoice for good."""
        self._need_open(invoice)
        old = copy.deepcopy(invoice)
        self._cancel_request(call, invoice, "void_invoice")
        invoice |= {"status": "void", "amount_remaining": invoice["amount_due"]}
        now = self.desk.clock_time(invoice["test_clock"])
        invoice["status_transitions"]["voided_at"] = now
        self.desk.save(call, invoice, "invoice.updated", old)
        self.desk.tell(call, "invoice.voided", invoice)
        self.desk.note(call, "invoices.voided", invoice)
        for listener in self.when_voided:
            listener(call, invoice)
        return invoice

    def give_up(self, call: Call, given: Json, invoice: Json) -> Json:
        """Mark an open invoice as uncollectible."""
        self._need_open(invoice)
        old = copy.deepcopy(invoice)
        invoice["status"] = "uncollectible"
        now = self.desk.clock_time(invoice["test_clock"])
        invoice["status_transitions"]["marked_uncollectible_at"] = now
        self.desk.save(call, invoice, "invoice.updated", old)
        self.desk.tell(call, "invoice.marked_uncollectible", invoice)
        return invoice

    def send(self, call: Call, given: Json, invoice: Json) -> Json:
        """Send an invoice to its customer, finalized first if it is a draft."""
        if invoice["collection_method"] != "send_invoice":
            message = (
                "You can only manually send an invoice if its collection method is 'send_invoice'."
            )
            raise error(400, message)
        if invoice["customer_email"] is None:
            message = "Missing email. In order to send an invoice the customer must have an email."
            raise error(400, message)
        if invoice["status"] == "draft":
            self.finalize(call, invoice)
        self.desk.tell(call, "invoice.sent", invoice)
        return invoice

    def secret(self, invoice: Json) -> Json | None:
        """Return the client secret with which a browser pays an open invoice."""
        intent = self.intent_of(invoice) if invoice["status"] == "open" else None
        return intent and {"client_secret": intent["client_secret"], "type": "payment_intent"}

    def method_of(self, invoice: Json) -> str | None:
        """Return what the invoice would be paid with, or None."""
        customer = self.desk.find("customer", invoice["customer"]) or {}
        settings = customer.get("invoice_settings") or {}
        found: str | None = (
            invoice["default_payment_method"]
            or invoice["default_source"]
            or settings.get("default_payment_method")
            or customer.get("default_source")
        )
        return found

    def intent_of(self, invoice: Json) -> Json | None:
        """Return the PaymentIntent of an invoice, or None if nothing is due."""
        for payment in self.desk.all("invoice_payment", invoice=invoice["id"]):
            return self.desk.find("payment_intent", payment["payment"]["payment_intent"])
        return None

    def request_again(self, call: Call, invoice: Json) -> None:
        """Give the PaymentIntent the amount that remains after a credit note."""
        intent = self.intent_of(invoice)
        if intent:
            self.desk.payments.update(call, intent, {"amount": str(invoice["amount_remaining"])})

    def settle_without_payment(self, call: Call, invoice: Json) -> None:
        """Make an invoice paid of which nothing remains due."""
        self._cancel_request(call, invoice, "abandoned")
        self._settle(call, invoice)

    def _request(self, call: Call, invoice: Json) -> None:
        given: Json = {
            "amount": str(invoice["amount_due"]),
            "currency": invoice["currency"],
            "customer": invoice["customer"],
            "metadata": {},
            "allowed_payment_method_types": ["card", "sepa_debit"],
            "description": f"Invoice {invoice['number']}",
            "setup_future_usage": "off_session",
        }
        intent = self.desk.body_of(self.desk.payments.create(call, given))
        payment = described.new("invoice_payment", "inpay", invoice=invoice["id"])
        payment |= {"amount_requested": invoice["amount_due"], "currency": invoice["currency"]}
        payment |= {"is_default": True, "status": "open"}
        payment["payment"] = {"payment_intent": intent["id"], "type": "payment_intent"}
        self.desk.put(payment)

    def _cancel_request(self, call: Call, invoice: Json, reason: str) -> None:
        intent = self.intent_of(invoice)
        if intent and intent["status"] not in ("succeeded", "canceled"):
            self.desk.payments.cancel(call, intent, {"cancellation_reason": reason})
            payment = self.desk.all("invoice_payment", invoice=invoice["id"])[0]
            now = self.desk.clock_time(invoice["test_clock"])
            payment["status_transitions"]["canceled_at"] = now
            self.desk.put(payment | {"status": "canceled"})

    def _need_open(self, invoice: Json) -> None:
        if invoice["status"] not in ("open", "uncollectible"):
            message = "You can only pass in open invoices. This invoice isn't open."
            raise error(400, message, "invoice_not_open")

    def _checked(self, invoice: Json, method: str) -> str:
        found = self.desk.need("payment_method", method, "payment_method")
        if found["customer"] != invoice["customer"]:
            message = (
                f"The customer does not have a payment method with the ID {method}. The payment "
                "method must be attached to the customer."
            )
            raise error(400, message, "resource_missing", "payment_method")
        return method

    def _heard(self, call: Call | None, kind: str, subject: Json) -> None:
        """Follow the invoices' PaymentIntents by their events."""
        if not kind.startswith("payment_intent."):
            return
        path = "$.payment.payment_intent"
        for payment in self.desk.where("invoice_payment", path, subject["id"]):
            if payment["status"] == "open":
                if kind == "payment_intent.succeeded":
                    invoice = self.desk.own("invoice", payment["invoice"])
                    self._settle(call, invoice, payment, subject)
                elif kind == "payment_intent.payment_failed":
                    self._failed(call, payment["invoice"], subject["last_payment_error"] or {})

    def _settle(
        self,
        call: Call | None,
        invoice: Json,
        payment: Json | None = None,
        intent: Json | None = None,
        out_of_band: bool = False,
    ) -> None:
        now = self.desk.clock_time(invoice["test_clock"])
        old = copy.deepcopy(invoice)
        invoice |= {"status": "paid", "attempted": True, "next_payment_attempt": None}
        invoice["amount_paid"] += intent["amount_received"] if intent else 0
        due(invoice)
        if out_of_band:
            invoice["amount_remaining"] = 0
        invoice["attempt_count"] += 1 if payment else 0
        invoice["status_transitions"]["paid_at"] = now
        if payment and intent:
            payment |= {"status": "paid", "amount_paid": intent["amount_received"]}
            payment["status_transitions"]["paid_at"] = now
        self.desk.save(call, invoice, "invoice.updated", old)
        self.desk.tell(call, "invoice.paid", invoice)
        self.desk.tell(call, "invoice.payment_succeeded", invoice)
        if payment:
            self.desk.save(call, payment, "invoice_payment.paid")
        self.desk.note(call, "invoices.paid", invoice, amount=invoice["amount_paid"])
        for listener in self.when_settled:
            listener(call, invoice)

    def fail_without_method(self, call: Call, invoice: Json) -> None:
        """Note that there is nothing to charge; the invoice is tried again later."""
        self.desk.put(self.desk.own("invoice", invoice["id"]) | {"sandbox_retries_on": True})
        self._failed(call, invoice["id"], {})

    def _failed(self, call: Call | None, invoice_id: str, problem: Json) -> None:
        invoice = self.desk.own("invoice", invoice_id)
        asks = problem.get("code") == "authentication_required"
        old = copy.deepcopy(invoice)
        invoice["attempted"] = True
        invoice["attempt_count"] += 1
        if invoice.pop("sandbox_retries_on", False):
            plan_retry(self.desk, invoice, problem)
        self.desk.save(call, invoice, "invoice.updated", old)
        self.desk.tell(call, "invoice.payment_failed", invoice)
        if asks:
            self.desk.tell(call, "invoice.payment_action_required", invoice)


class InvoicePayments(Resource):
    """The payments of invoices."""

    kind, url, calls, prefix, event = (
        "invoice_payment", "/v1/invoice_payments", "invoice_payment", "inpay", "",
    )  # fmt: skip
    verbs = ("list", "retrieve")

    def matches(self, body: Json, name: str, value: Any) -> bool:
        """Filter by PaymentIntent too."""
        if name == "payment":
            return bool(value.items() <= body["payment"].items())
        return super().matches(body, name, value)
