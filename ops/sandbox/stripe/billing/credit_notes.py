"""Credit notes: they reduce what is due of an open invoice, or give back what was paid.

https://docs.stripe.com/api/credit_notes
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from decimal import Decimal

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.billing.balances import change_balance
from ops.sandbox.stripe.billing.collection import Collection
from ops.sandbox.stripe.billing.lines import due, rounded
from ops.sandbox.stripe.catalogue.prices import unit_amounts
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error, page, read_params
from ops.sandbox.wire import Call, Route

_FIELDS = ("memo", "reason", "out_of_band_amount", "effective_at")


class CreditNotes(Resource):
    """The credit notes."""

    kind, url, calls, prefix, event = (
        "credit_note", "/v1/credit_notes", "credit_note", "cn", "credit_note",
    )  # fmt: skip
    set_apart = ("lines", "amount", "invoice", "refunds", "shipping_cost")

    def __init__(self, desk: Desk, collection: Collection) -> None:
        super().__init__(desk)
        self._collection = collection

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with those to preview and void."""
        return [
            ("GET", f"{self.url}/preview", "credit_notes.preview", self._preview),
            *super().routes(),
            self.action("void", "void_credit_note", self._void),
            ("GET", f"{self.url}/<id>/lines", "credit_notes.lines.list", self._lines),
        ]

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Compute the note, and change the invoice or give the money back."""
        invoice = self._noted(given, body)
        if invoice["status"] == "open":
            self._reduce(call, invoice, body["amount"])
        else:
            self._give_back(call, given, invoice, body)

    def _noted(self, given: Json, body: Json) -> Json:
        invoice = self.desk.need("invoice", given["invoice"], "invoice")
        if invoice["status"] not in ("open", "paid", "uncollectible"):
            message = "You can only create a credit note for a finalized invoice."
            raise error(400, message, "credit_note_invalid_invoice_status", "invoice")
        lines = [self._line(each, invoice) for each in given.get("lines", [])]
        amount = sum(line["amount"] for line in lines) if lines else given.get("amount")
        if amount is None:
            message = "You must pass one of `amount`, `lines` or `shipping_cost`."
            raise error(400, message, "parameter_missing", "amount")
        is_paid = invoice["status"] == "paid"
        left = invoice["amount_remaining"]
        if is_paid:
            left = invoice["total"] - invoice["post_payment_credit_notes_amount"]
            left -= self._refunded_without_note(invoice)
        if not 0 < amount <= left:
            message = (
                f"The sum of credit notes ({amount}) cannot exceed the amount of the invoice that "
                f"is left ({left})."
            )
            raise error(400, message, "amount_too_large", "amount")
        earlier = self.desk.all(self.kind, invoice=invoice["id"])
        number = f"{invoice['number']}-CN-{len(earlier) + 1:02}"
        body |= {
            "invoice": invoice["id"], "customer": invoice["customer"], "number": number,
            "created": self.desk.clock_time(invoice["test_clock"]),
            "currency": invoice["currency"], "status": "issued",
            "pdf": f"https://pay.stripe.com/credit_notes/acct_sandbox/{token62(30)}/pdf",
            "type": "post_payment" if is_paid else "pre_payment",
            "post_payment_amount": amount if is_paid else 0,
            "pre_payment_amount": 0 if is_paid else amount,
        }  # fmt: skip
        body |= dict.fromkeys(("amount", "subtotal", "total"), amount)
        body |= dict.fromkeys(("subtotal_excluding_tax", "total_excluding_tax"), amount)
        body["total_taxes"] = []
        body["effective_at"] = body["effective_at"] or body["created"]
        body["lines"]["data"] = lines or [self._whole(amount)]
        body["lines"]["url"] = f"{self.url}/{body['id']}/lines"
        return invoice

    def _refunded_without_note(self, invoice: Json) -> int:
        """Return what the Refund API has given back: Stripe subtracts it from what is left."""
        intent = self._collection.intent_of(invoice)
        if intent is None or intent["latest_charge"] is None:
            return 0
        notes = self.desk.all(self.kind, invoice=invoice["id"])
        noted = {each["refund"] for note in notes for each in note["refunds"]}
        charge = intent["latest_charge"]
        made = self.desk.where("refund", "$.charge", charge)
        standing = [each for each in made if each["status"] not in ("failed", "canceled")]
        return sum(each["amount"] for each in standing if each["id"] not in noted)

    def _line(self, given: Json, invoice: Json) -> Json:
        line = described.new("credit_note_line_item", "cnli", type=given["type"], taxes=[])
        line |= {"description": given.get("description"), "quantity": given.get("quantity")}
        if given["type"] == "custom_line_item":
            unit = unit_amounts({k: given[k] for k in given if k.startswith("unit_amount")})
            if unit["unit_amount_decimal"] is None:
                message = "Missing required param: lines[0][unit_amount]."
                raise error(400, message, "parameter_missing", "lines[0][unit_amount]")
            count = given.get("quantity", 1)
            line |= {**unit, "quantity": count, "amount": (unit["unit_amount"] or 0) * count}
            return line
        named = given.get("invoice_line_item")
        found = [each for each in invoice["lines"]["data"] if each["id"] == named]
        if not found:
            message = f"No such invoice line item: '{named}'"
            raise error(400, message, "resource_missing", "lines[0][invoice_line_item]")
        whole = found[0]["amount"] - sum(each["amount"] for each in found[0]["discount_amounts"])
        amount = given.get("amount", whole)
        if "quantity" in given and "amount" not in given and found[0]["quantity"]:
            amount = rounded(Decimal(whole) * given["quantity"] / found[0]["quantity"])
        line |= {"invoice_line_item": named, "description": found[0]["description"]}
        return line | {"amount": amount}

    def _whole(self, amount: int) -> Json:
        return described.new(
            "credit_note_line_item", "cnli", amount=amount, type="custom_line_item", taxes=[],
            description="Credit", quantity=1, unit_amount=amount, unit_amount_decimal=str(amount),
        )  # fmt: skip

    def _reduce(self, call: Call, invoice: Json, amount: int) -> None:
        old = copy.deepcopy(invoice)
        invoice["pre_payment_credit_notes_amount"] += amount
        due(invoice)
        self.desk.save(call, invoice, "invoice.updated", old)
        if invoice["amount_remaining"] == 0:
            self._collection.settle_without_payment(call, invoice)
        else:
            self._collection.request_again(call, invoice)

    def _give_back(self, call: Call, given: Json, invoice: Json, body: Json) -> None:
        parts = ("refund_amount", "credit_amount", "out_of_band_amount")
        if sum(given.get(name, 0) for name in parts) != body["amount"]:
            message = (
                "The sum of `refund_amount`, `credit_amount` and `out_of_band_amount` must equal "
                f"the amount of the credit note ({body['amount']})."
            )
            raise error(400, message, param="refund_amount")
        old = copy.deepcopy(invoice)
        invoice["post_payment_credit_notes_amount"] += body["amount"]
        self.desk.save(call, invoice, "invoice.updated", old)
        if given.get("refund_amount"):
            intent = self._collection.intent_of(invoice)
            if intent is None:
                raise error(400, "The invoice was not paid through Stripe.", param="refund_amount")
            params = {"payment_intent": intent["id"], "amount": str(given["refund_amount"])}
            refund = self.desk.body_of(self.desk.refunds.create(call, params))
            body["refunds"] = [
                {
                    "amount_refunded": refund["amount"], "payment_record_refund": None,
                    "refund": refund["id"], "type": "refund",
                }
            ]  # fmt: skip
        if given.get("credit_amount"):
            owner = self.desk.own("customer", invoice["customer"])
            made = change_balance(
                self.desk, call, owner, -given["credit_amount"], "credit_note",
                credit_note=body["id"], invoice=invoice["id"], currency=invoice["currency"],
            )  # fmt: skip
            body["customer_balance_transaction"] = made["id"]

    def _void(self, call: Call, given: Json, body: Json) -> Json:
        if body["status"] != "issued" or body["type"] != "pre_payment":
            message = "You can only void an issued credit note of an open invoice."
            raise error(400, message)
        invoice = self.desk.own("invoice", body["invoice"])
        if invoice["status"] != "open":
            message = "You can only void a credit note if its invoice is open."
            raise error(400, message)
        invoice_before = copy.deepcopy(invoice)
        invoice["pre_payment_credit_notes_amount"] -= body["amount"]
        due(invoice)
        self.desk.save(call, invoice, "invoice.updated", invoice_before)
        self._collection.request_again(call, invoice)
        body |= {"status": "void", "voided_at": self.desk.clock_time(invoice["test_clock"])}
        self.desk.save(call, body, "credit_note.voided")
        self.desk.note(call, "credit_notes.voided", body)
        return body

    def _preview(self, call: Call) -> Response:
        params = read_params(call.request)
        given = described.read(call, "credit_note_preview", params)
        body = described.new(self.kind, self.prefix)
        body |= {name: given[name] for name in _FIELDS if name in given}
        self._noted(given, body)
        return self.desk.answer(body, params)

    def _lines(self, call: Call, id: str) -> Response:
        params = read_params(call.request)
        described.read(call, "credit_note_list_lines", params)
        data = self.desk.own(self.kind, id)["lines"]["data"]
        return self.desk.answer(page(data, params, f"{self.url}/{id}/lines"), params)
