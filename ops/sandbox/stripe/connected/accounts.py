"""Connected accounts, as far as money can be sent to them. https://docs.stripe.com/api/accounts"""

from __future__ import annotations

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import listing
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.wire import Call


class Accounts(Resource):
    """The connected accounts."""

    kind, url, calls, prefix, event = "account", "/v1/accounts", "account", "acct", "account"
    verbs = ("create", "list", "retrieve", "update", "delete")
    set_apart = ("capabilities", "external_account", "settings", "tos_acceptance")

    def create(self, call: Call, given: Json) -> Json:
        """Create an account; the platform made it, so no event tells of it."""
        body = described.new(self.kind, self.prefix)
        self._set(body, given)
        body |= {
            "type": given.get("type", "standard"),
            "country": given.get("country", "US"),
            "default_currency": given.get("default_currency", "usd"),
            "capabilities": dict.fromkeys(given.get("capabilities") or {}, "inactive"),
            "charges_enabled": False,
            "payouts_enabled": False,
            "details_submitted": False,
            "external_accounts": listing([], f"{self.url}/{body['id']}/external_accounts"),
        }
        self.desk.put(body)
        self.desk.note(call, "accounts", body)
        return body

    def _delete(self, call: Call, id: str) -> Response:
        body = self.desk.own(self.kind, id)
        stub = {"id": id, "object": self.kind, "deleted": True}
        self.desk.put(body | {"deleted": True})
        application = {"id": "ca_sandbox", "object": "application", "name": "Sandbox"}
        self.desk.tell(call, "account.application.deauthorized", application)
        self.desk.note(call, "accounts.deleted", body)
        return self.desk.answer(stub, {})
