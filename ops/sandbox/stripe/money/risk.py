"""Early fraud warnings of the issuer, and Radar's reviews of risky payments.

https://docs.stripe.com/disputes/measuring, https://docs.stripe.com/radar/reviews
"""

from __future__ import annotations

from werkzeug.wrappers import Response

from ops.sandbox.box import token62
from ops.sandbox.store import Json
from ops.sandbox.stripe import cards
from ops.sandbox.stripe.account import Account
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call, reply

WARNING, REVIEW = "radar.early_fraud_warning", "review"
_WARN = "warn_of_fraud"
_PLACE = ("city", "country", "latitude", "longitude", "region")


class Risk:
    """Warns of fraud and opens reviews, as the test cards say; both end with the charge."""

    def __init__(self, account: Account) -> None:
        self._account = account
        account.on_accepted.append(self._accepted)
        account.on_release.append(self._released)
        account.on_paid.append(self._paid)
        account.on_refund.append(self._refunded)
        account.on_dispute.append(self._disputed)
        account.clock.does(_WARN, self._warn)

    def approve(self, call: Call, review: Json, params: Json) -> Response:
        """Close a review, because the payment is not fraudulent."""
        if not review["open"]:
            raise error(400, "This review is already closed.", executed=True)
        self._close(call, review, "approved")
        return reply(review)

    def _paid(self, call: Call | None, charge: Json, card: str) -> None:
        if card == cards.ISSUER_FRAUD:
            wait = self._account.box.settings.number("stripe.dispute_seconds")
            self._account.clock.plan(_WARN, charge["id"], self._account.clock.now() + wait)

    def _accepted(self, call: Call | None, charge: Json, card: str) -> None:
        if card == cards.ELEVATED_RISK:
            self._review(call, charge)

    def _released(self, call: Call | None, charge: Json, reason: str | None) -> None:
        self._settle(call, charge, "refunded_as_fraud" if reason == "fraudulent" else "canceled")

    def _warn(self, charge_id: str) -> None:
        charge = self._account.find("charge", charge_id)
        warning: Json = {
            "id": f"issfr_1{token62(23)}",
            "object": WARNING,
            "actionable": not charge["refunded"] and not charge["disputed"],
            "charge": charge_id,
            "created": self._account.clock.now(),
            "fraud_type": "misc",
            "livemode": False,
            "payment_intent": charge["payment_intent"],
        }
        self._account.save(None, warning, f"{WARNING}.created")

    def _review(self, call: Call | None, charge: Json) -> None:
        review: Json = {
            "id": f"prv_1{token62(23)}",
            "object": REVIEW,
            "billing_zip": None,
            "charge": charge["id"],
            "closed_reason": None,
            "created": self._account.clock.now(),
            "ip_address": None,
            "ip_address_location": dict.fromkeys(_PLACE),
            "livemode": False,
            "open": True,
            "opened_reason": "rule",
            "payment_intent": charge["payment_intent"],
            "reason": "rule",
            "session": dict.fromkeys(("browser", "device", "platform", "version")),
        }
        self._account.put(charge | {"review": review["id"]})
        intent = self._account.find("payment_intent", charge["payment_intent"])
        self._account.put(intent | {"review": review["id"]})
        self._account.save(call, review, "review.opened")

    def _refunded(self, call: Call | None, charge: Json, reason: str | None) -> None:
        if charge["refunded"]:
            self._settle(
                call, charge, "refunded_as_fraud" if reason == "fraudulent" else "refunded"
            )

    def _disputed(self, call: Call | None, charge: Json) -> None:
        self._settle(call, charge, "disputed")

    def _settle(self, call: Call | None, charge: Json, reason: str) -> None:
        about = "json_extract(body, '$.charge') = ?"
        for row in self._account.store.query(WARNING, about, (charge["id"],)):
            if row.body["actionable"]:
                changed = row.body | {"actionable": False}
                previous = {"actionable": True}
                self._account.save(call, changed, f"{WARNING}.updated", previous)
        for row in self._account.store.query(REVIEW, about, (charge["id"],)):
            if row.body["open"]:
                self._close(call, row.body, reason)

    def _close(self, call: Call | None, review: Json, reason: str) -> None:
        review |= {"open": False, "closed_reason": reason, "reason": reason}
        self._account.save(call, review, "review.closed")
