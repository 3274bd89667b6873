"""Quotes: a draft, then open, then accepted (and so sold) or canceled.

https://docs.stripe.com/api/quotes
"""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.catalogue.discounts import redeem
from ops.sandbox.stripe.checkout.bought import Bought, as_items, recurring_of, totals
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk, listing
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.subscribing.subscriptions import Subscriptions
from ops.sandbox.stripe.wire import error, page, read_params
from ops.sandbox.wire import Call, Route

LIFE_SECONDS = 30 * 86400


class Quotes(Resource):
    """The quotes."""

    kind, url, calls, prefix, event = "quote", "/v1/quotes", "quote", "qt", "quote"
    set_apart = ("line_items", "discounts", "default_tax_rates", "from_quote", "expires_at")

    def __init__(self, desk: Desk, bought: Bought, subscriptions: Subscriptions) -> None:
        super().__init__(desk)
        self._bought, self._subscriptions = bought, subscriptions
        desk.includes[self.kind, "line_items"] = lambda body: listing(
            self._stored_lines(body["id"]), f"{self.url}/{body['id']}/line_items"
        )

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with those of a quote's course."""
        lines = ("GET", f"{self.url}/<id>/line_items", "quotes.list_line_items", self._lines)
        return [
            *super().routes(),
            self.action("finalize", "finalize_quote", self._finalize),
            self.action("accept", "accept", self._accept),
            self.action("cancel", "cancel", self._cancel),
            lines,
        ]

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Price the lines of a draft."""
        if body["customer"]:
            self.desk.need("customer", body["customer"], "customer")
        now = self.desk.now(body["customer"])
        body |= {"created": now, "status": "draft", "default_tax_rates": []}
        body["expires_at"] = given.get("expires_at", now + LIFE_SECONDS)
        mode = {"flexible": {"proration_discounts": "included"}, "type": "flexible"}
        body["subscription_data"]["billing_mode"] = mode
        body["sandbox_lines"] = []
        self._price(call, given, body)

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Price the lines anew."""
        if body["status"] != "draft" and set(given) - {"metadata"}:
            raise self._unexpected(body, "updated", "draft")
        if "line_items" in given or "discounts" in given:
            self._price(call, given, body)

    def _price(self, call: Call, given: Json, body: Json) -> None:
        lines = body["sandbox_lines"]
        if "line_items" in given:
            lines = self._bought.lines(call, given["line_items"] or [])
        found = [
            redeem(self.desk, call, each, "discounts", customer=body["customer"])
            for each in given.get("discounts") or []
        ]
        if "discounts" in given:
            body["discounts"] = [each["id"] for each in found]
        self._bought.discount(lines, found)
        body |= totals(lines) | {"sandbox_lines": lines}
        body["currency"] = lines[0]["currency"] if lines else body["currency"]
        body["computed"]["upfront"] = totals(lines)
        recurring = recurring_of(lines)
        if recurring:
            every = recurring[0]["price"]["recurring"]
            body["computed"]["recurring"] = totals(recurring) | {
                "interval": every["interval"], "interval_count": every["interval_count"],
            }  # fmt: skip

    def _finalize(self, call: Call, given: Json, body: Json) -> Json:
        if body["status"] != "draft":
            raise self._unexpected(body, "finalized", "draft")
        if not body["customer"]:
            message = "You must set a customer on a quote before you finalize it."
            raise error(400, message, param="customer")
        if not body["sandbox_lines"]:
            raise error(400, "You cannot finalize a quote without line items.")
        customer = self.desk.own("customer", body["customer"])
        earlier = [each for each in self.desk.all(self.kind) if each["number"]]
        body["number"] = f"QT-{customer['invoice_prefix']}-{len(earlier) + 1:04}-1"
        body["status"] = "open"
        body["status_transitions"]["finalized_at"] = self.desk.now(body["customer"])
        body["expires_at"] = given.get("expires_at", body["expires_at"])
        self.desk.save(call, body, "quote.finalized")
        return body

    def _accept(self, call: Call, given: Json, body: Json) -> Json:
        if body["status"] != "open":
            raise self._unexpected(body, "accepted", "open")
        lines = body["sandbox_lines"]
        body["status"] = "accepted"
        body["status_transitions"]["accepted_at"] = self.desk.now(body["customer"])
        if recurring_of(lines):
            params: Json = {
                "customer": body["customer"], "items": as_items(recurring_of(lines)),
                "collection_method": body["collection_method"],
                "discounts": [{"discount": each} for each in body["discounts"]],
            }  # fmt: skip
            for name in ("description", "trial_period_days", "metadata"):
                if body["subscription_data"][name]:
                    params[name] = body["subscription_data"][name]
            if body["collection_method"] == "send_invoice":
                params["days_until_due"] = body["invoice_settings"]["days_until_due"] or 30
            made = self._subscriptions.create(call, params)
            body |= {"subscription": made["id"], "invoice": made["latest_invoice"]}
        else:
            body["invoice"] = self._invoice(call, body, lines)
        self.desk.save(call, body, "quote.accepted")
        self.desk.note(call, "quotes.accepted", body, amount=body["amount_total"])
        return body

    def _invoice(self, call: Call, body: Json, lines: list[Json]) -> str:
        cycles = self._subscriptions.cycles
        invoice = cycles.invoices.of_lines(call, body["customer"], lines, body["discounts"])
        invoice["parent"] = {
            "quote_details": {"quote": body["id"]}, "subscription_details": None,
            "type": "quote_details",
        }  # fmt: skip
        self.desk.put(invoice)
        return str(invoice["id"])

    def _cancel(self, call: Call, given: Json, body: Json) -> Json:
        if body["status"] not in ("draft", "open"):
            raise self._unexpected(body, "canceled", "draft or open")
        body["status"] = "canceled"
        body["status_transitions"]["canceled_at"] = self.desk.now(body["customer"])
        self.desk.save(call, body, "quote.canceled")
        return body

    def _unexpected(self, body: Json, participle: str, wanted: str) -> Exception:
        message = (
            f"This quote cannot be {participle} because it has a status of {body['status']}; it "
            f"must be {wanted}."
        )
        return error(400, message)

    def _stored_lines(self, quote: str) -> list[Json]:
        found: list[Json] = self.desk.own(self.kind, quote)["sandbox_lines"]
        return found

    def _lines(self, call: Call, id: str) -> Response:
        params = read_params(call.request)
        described.read(call, "quote_list_line_items", params)
        found = page(self._stored_lines(id), params, f"{self.url}/{id}/line_items")
        return self.desk.answer(found, params)
