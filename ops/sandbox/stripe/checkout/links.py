"""Payment links and the billing portal.

https://docs.stripe.com/api/payment-link, /api/customer_portal
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.checkout.bought import Bought
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk, listing
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error, page, read_params
from ops.sandbox.wire import Call, Route


class PaymentLinks(Resource):
    """The payment links."""

    kind, url, calls, prefix, event = (
        "payment_link", "/v1/payment_links", "payment_link", "plink", "payment_link",
    )  # fmt: skip
    set_apart = ("line_items",)

    def __init__(self, desk: Desk, bought: Bought) -> None:
        super().__init__(desk)
        self._bought = bought
        desk.includes[self.kind, "line_items"] = lambda body: listing(
            self._stored_lines(body["id"]), f"{self.url}/{body['id']}/line_items"
        )

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with that of the lines."""
        path = f"{self.url}/<id>/line_items"
        return [*super().routes(), ("GET", path, "payment_links.list_line_items", self._lines)]

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Price the lines, and give the link its address."""
        lines = self._bought.lines(call, given["line_items"])
        body |= {"active": True, "currency": lines[0]["currency"], "sandbox_lines": lines}
        body["url"] = f"https://buy.stripe.com/test_{token62(20)}"
        if body["after_completion"]["hosted_confirmation"] is None:
            body["after_completion"]["hosted_confirmation"] = {"custom_message": None}

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Change the quantities of the lines."""
        for change in given.get("line_items") or []:
            found = [line for line in body["sandbox_lines"] if line["id"] == change.get("id")]
            if not found:
                message = f"No such line item: '{change.get('id')}'"
                raise error(400, message, "resource_missing", "line_items")
            found[0] |= {name: change[name] for name in ("quantity",) if name in change}

    def _stored_lines(self, link: str) -> list[Json]:
        found: list[Json] = self.desk.own(self.kind, link)["sandbox_lines"]
        return found

    def _lines(self, call: Call, id: str) -> Response:
        params = read_params(call.request)
        described.read(call, "payment_link_list_line_items", params)
        found = page(self._stored_lines(id), params, f"{self.url}/{id}/line_items")
        return self.desk.answer(found, params)


class PortalConfigurations(Resource):
    """The configurations of the billing portal."""

    kind, url, calls, prefix, event = (
        "billing_portal.configuration", "/v1/billing_portal/configurations",
        "billing_portal/configuration", "bpc", "billing_portal.configuration",
    )  # fmt: skip

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Set what is not given; the first configuration is the default."""
        body |= {"active": True, "updated": body["created"]}
        body["is_default"] = not self.desk.all(self.kind)
        if body["login_page"]["enabled"]:
            body["login_page"]["url"] = f"https://billing.stripe.com/p/login/test_{token62(16)}"

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Note the time."""
        body["updated"] = int(time.time())


class PortalSessions(Resource):
    """The sessions of customers in the billing portal."""

    kind, url, calls, prefix, event = (
        "billing_portal.session", "/v1/billing_portal/sessions", "billing_portal/session", "bps",
        "billing_portal.session",
    )  # fmt: skip
    verbs = ("create",)

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Check the customer, and take the default configuration if none is named."""
        if not given.get("customer"):
            message = "Missing required param: customer."
            raise error(400, message, "parameter_missing", "customer")
        self.desk.need("customer", given["customer"], "customer")
        kind = PortalConfigurations.kind
        if given.get("configuration"):
            self.desk.need(kind, given["configuration"], "configuration")
        else:
            body["configuration"] = self._default()
        body["url"] = f"https://billing.stripe.com/p/session/test_{token62(40)}"

    def _default(self) -> str:
        found = self.desk.all(PortalConfigurations.kind, is_default=True)
        if found:
            return str(found[0]["id"])
        # A test account has a default configuration before one is made.
        body = described.new(PortalConfigurations.kind, "bpc", is_default=True, active=True)
        self.desk.put(body)
        return str(body["id"])
