"""Whether the account may charge: Stripe restricts one that owes it information, or is suspected.

https://docs.stripe.com/api/accounts/object#account_object-requirements-disabled_reason
"""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.account import Account
from ops.sandbox.stripe.events import public
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import listing
from ops.sandbox.stripe.wire import error
from ops.sandbox.wire import Call, Refusal, Route, json_object, reply

OWN = "own_account"
REASONS = (
    "action_required.requested_capabilities",
    "listed",
    "other",
    "platform_paused",
    "rejected.fraud",
    "rejected.incomplete_verification",
    "rejected.listed",
    "rejected.other",
    "rejected.terms_of_service",
    "requirements.past_due",
    "requirements.pending_verification",
    "under_review",
)
"""The values of `disabled_reason`."""
RESTRICTED = (
    "Your account cannot currently make live charges. The `requirements.disabled_reason` property "
    "on the account will provide information about why this account is currently disabled."
)
_DUE = "company.tax_id"


class Standing:
    """The own account. While it is restricted, nothing is charged; all else goes on."""

    def __init__(self, account: Account) -> None:
        self._account = account
        account.on_charge.append(self._check)

    def routes(self) -> Sequence[Route]:
        """Return the endpoint of the account."""
        return [("GET", "/v1/account", "accounts.retrieve_current", self._retrieve)]

    def control(self) -> Sequence[Route]:
        """Return the control API's endpoint: {"reason"}, a `disabled_reason`, or null: it may
        charge again."""
        return [("POST", "/stripe/restrict", "stripe.restrict", self._restrict)]

    def own_id(self) -> str:
        """Return the id of the account, which has one from the first look at it on."""
        row = self._account.store.get(OWN, OWN)
        return str(row.body["id"]) if row else ""

    def _own(self) -> Json:
        row = self._account.store.get(OWN, OWN)
        if row is not None:
            return row.body
        body = described.new("account", "acct")
        body |= {
            "capabilities": {"card_payments": "active", "transfers": "active"},
            "controller": {"type": "account"},
            "country": "US",
            "default_currency": self._account.box.settings.text("stripe.settlement_currency"),
            "email": "owner@example.com",
            "external_accounts": listing([], f"/v1/accounts/{body['id']}/external_accounts"),
            "type": "standard",
        }
        body |= {"charges_enabled": True, "payouts_enabled": True, "details_submitted": True}
        body["requirements"] = _requirements(None)
        return body

    def _retrieve(self, call: Call) -> Response:
        with self._account.store.transaction():
            body = self._own()
            self._account.store.put(OWN, OWN, body)
        return reply(public(body))

    def _check(self) -> None:
        if not self._own()["charges_enabled"]:
            # The request was valid and has begun, so its answer is stored under its key.
            raise error(400, RESTRICTED, executed=True)

    def _restrict(self, call: Call) -> Response:
        reason = (json_object(call.request) or {}).get("reason")
        if reason is not None and reason not in REASONS:
            raise Refusal(400, {"error": f"reason is null or one of {', '.join(REASONS)}"})
        with self._account.store.transaction():
            body = self._own()
            before = {"charges_enabled": body["charges_enabled"]}
            body |= {"charges_enabled": reason is None, "payouts_enabled": reason is None}
            body["requirements"] = _requirements(reason)
            self._account.store.put(OWN, OWN, body)
            self._account.events.tell(None, "account.updated", body, before)
        return reply(public(body))


def _requirements(reason: str | None) -> Json:
    """What Stripe wants to know, and why the account is disabled."""
    due = [_DUE] if reason == "requirements.past_due" else []
    lists = ("alternatives", "errors", "eventually_due", "pending_verification")
    return {
        **{name: [] for name in lists},
        "current_deadline": None,
        "currently_due": due,
        "disabled_reason": reason,
        "past_due": due,
    }
