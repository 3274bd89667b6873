"""Identity checks: a session waits for a person's input until it is canceled or redacted.

https://docs.stripe.com/identity/verification-sessions
"""

from __future__ import annotations

from collections.abc import Sequence

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call, Route


class Verifications(Resource):
    """The verification sessions. No person gives input here, so none is verified."""

    kind, url, calls, prefix, event = (
        "identity.verification_session", "/v1/identity/verification_sessions",
        "identity/verification_session", "vs", "identity.verification_session",
    )  # fmt: skip
    on_request = ("provided_details",)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints, with those to cancel and redact."""
        return [
            *super().routes(),
            self.action("cancel", "cancel", self._cancel),
            self.action("redact", "redact", self._redact),
        ]

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Set the address at which a person would be checked."""
        if "type" not in given and "verification_flow" not in given:
            raise error(400, "Missing required param: type.", "parameter_missing", "type")
        body |= {"status": "requires_input", "type": given.get("type", "document")}
        body["options"] = body["options"] or {}
        body["client_secret"] = f"{body['id']}_secret_test_{token62(50)}"
        body["url"] = f"https://verify.stripe.com/start/test_{token62(60)}"

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Refuse a change of what is no longer open."""
        if body["status"] != "requires_input":
            raise self._unexpected(body, "updated")

    def _cancel(self, call: Call, given: Json, body: Json) -> Json:
        if body["status"] != "requires_input":
            raise self._unexpected(body, "canceled")
        body |= {"status": "canceled", "url": None, "client_secret": None}
        self.desk.save(call, body, f"{self.event}.canceled")
        return body

    def _redact(self, call: Call, given: Json, body: Json) -> Json:
        if body["redaction"]:
            raise self._unexpected(body, "redacted")
        body |= {"status": "canceled", "url": None, "client_secret": None}
        body |= {"redaction": {"status": "redacted"}, "metadata": {}}
        self.desk.save(call, body, f"{self.event}.redacted")
        return body

    def _unexpected(self, body: Json, participle: str) -> Exception:
        message = (
            f"This VerificationSession cannot be {participle} because it has a status of "
            f"{body['status']}."
        )
        return error(400, message)
