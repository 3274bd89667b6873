"""An imitation of Stripe's API version 2026-10-28.endive, with idempotency keys and search lag.

Invariant: a POST with a key runs at most once while the key lives, and its response, success or
error, is stored in the transaction of its effect. https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from werkzeug.wrappers import Request, Response

from ops.sandbox.box import Box
from ops.sandbox.faults import Fault
from ops.sandbox.limits import Window
from ops.sandbox.store import Json
from ops.sandbox.stripe import access
from ops.sandbox.stripe.billing.all import billing
from ops.sandbox.stripe.catalogue.all import catalogue
from ops.sandbox.stripe.checkout.all import checkout
from ops.sandbox.stripe.connected.all import connected
from ops.sandbox.stripe.destinations.all import destinations
from ops.sandbox.stripe.events import public
from ops.sandbox.stripe.money.authentication import PAGE_OPERATIONS
from ops.sandbox.stripe.money.operations import MONEY_PREFIXES, Money
from ops.sandbox.stripe.params import kept
from ops.sandbox.stripe.payments import Payments
from ops.sandbox.stripe.refunds import Refunds
from ops.sandbox.stripe.reporting.runs import reports
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk, listing
from ops.sandbox.stripe.resources.searching import search_page, search_results
from ops.sandbox.stripe.subscribing.all import subscribing
from ops.sandbox.stripe.wire import (
    API_VERSION,
    created_between,
    error,
    no_such,
    page,
    read_params,
    refuse_json,
    with_log_url,
)
from ops.sandbox.wire import Call, Dropped, Refusal, Route, Vendor, cut, reply

PREFIXES = {
    "pi": "payment_intent", "ch": "charge", "re": "refund", "evt": "event", "di": "discount",
    **MONEY_PREFIXES,
}  # fmt: skip
OTHER_PARAMS = (
    "Keys for idempotent requests can only be used with the same parameters they were first used "
    "with. Try using a key other than '{key}' if you meant to execute a different request."
)
RATE_LIMITED = (
    "Request rate limit exceeded. Learn more about rate limits here "
    "https://stripe.com/docs/rate-limits."
)
OTHER_PATH = (
    "Keys for idempotent requests can only be used for the same endpoint they were first used for "
    "('{new}' vs '{old}'). Try using a key other than '{key}' if you meant to execute a different "
    "request."
)
LOCKED = (
    "This object cannot be accessed right now because another API request or Stripe process is "
    "currently accessing it. If you see this error intermittently, retry the request. If you see "
    "this error frequently and are making multiple concurrent requests to a single object, make "
    "your requests serially or at a lower rate. For more details, see "
    "https://stripe.com/docs/rate-limits#object-lock-timeouts."
)
IN_USE = (
    "There is currently another in-progress request using this Stripe API idempotency key (that "
    "probably means you submitted twice, and the other request is still going through): {key}. "
    "Try again later."
)


class Stripe(Vendor):
    """The WSGI application on Stripe's port."""

    name = "stripe"

    def __init__(self, box: Box) -> None:
        self.payments = Payments(box)
        self.refunds = Refunds(self.payments)
        self.desk = Desk(self.payments, self.refunds)
        self.desk.prefixes |= PREFIXES
        self.desk.includes["charge", "refunds"] = self._refunds_of
        self.money = Money(self.payments, self.refunds, self.desk.fetch)
        billed = billing(self.desk)
        subscribed = subscribing(self.desk, billed)
        self.resources = [*catalogue(self.desk), *subscribed.resources, *billed.resources]
        self.resources += checkout(self.desk, subscribed.subscriptions)
        self.resources += [*connected(self.desk), *reports(self.desk)]
        self._destinations = destinations(self.desk)
        self._requests = os.environ.get("SANDBOX_STRIPE_REQUESTS")
        self._running: set[str] = set()
        self._window = Window()
        self._lock = threading.Lock()
        super().__init__(box)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        pay = "/v1/payment_intents"
        return [
            ("POST", pay, "payment_intents.create", self._create),
            ("GET", pay, "payment_intents.list", self._list("payment_intent", pay)),
            ("GET", f"{pay}/search", "payment_intents.search", self._search("payment_intent", pay)),
            ("GET", f"{pay}/<id>", "payment_intents.retrieve", self._intent),
            ("POST", f"{pay}/<id>", "payment_intents.update",
             self._on(self.payments.update, "update")),
            ("POST", f"{pay}/<id>/confirm", "payment_intents.confirm",
             self._on(self.payments.confirm, "confirm")),
            ("POST", f"{pay}/<id>/capture", "payment_intents.capture",
             self._on(self.payments.capture, "capture")),
            ("POST", f"{pay}/<id>/cancel", "payment_intents.cancel",
             self._on(self.payments.cancel, "cancel")),
            ("GET", "/v1/charges", "charges.list", self._list("charge", "/v1/charges")),
            ("GET", "/v1/charges/search", "charges.search", self._search("charge", "/v1/charges")),
            ("GET", "/v1/charges/<id>", "charges.retrieve", self._retrieve("charge", "id")),
            *self._destinations,
            *self.money.routes(),
            *(route for each in self.resources for route in each.routes()),
        ]  # fmt: skip

    def authenticate(self, call: Call) -> None:
        """Raise Stripe's 401 if the secret key (Bearer token or Basic user) is missing or wrong."""
        call.notes["request_id"] = access.new_request_id()
        if call.operation in PAGE_OPERATIONS:
            return
        key = access.checked_key(call.request, self.box.credentials.STRIPE_API_KEY)
        described.refuse_version(call)
        call.notes["is_account"] = self._is_account
        access.refuse_account(call.request, key, self.money.own_account())
        self._limit()
        refuse_json(call.request)

    def _is_account(self, name: str) -> bool:
        return self.desk.find("account", name) is not None

    def _limit(self) -> None:
        """Raise Stripe's 429, which says no wait, if more requests came in the last second than
        the setting allows (0: all)."""
        allowed = int(self.box.settings.number("stripe.requests_per_second"))
        if allowed and self._window.take(allowed, 1.0)[0] <= 0:
            raise Refusal(
                429,
                error(429, RATE_LIMITED, "rate_limit").body,
                {"Stripe-Rate-Limited-Reason": "global-rate"},
            )

    def missing(self, request: Request) -> Response:
        """Return Stripe's response for an unknown URL."""
        message = (
            f"Unrecognized request URL ({request.method}: {request.path}). Please see "
            "https://stripe.com/docs or we can help at https://support.stripe.com/."
        )
        call = Call("", request, "", {"request_id": access.new_request_id()})
        return self.finish(call, error(404, message).response())

    def failure(self, status: int, fault: Fault) -> Response:
        """Return an outage or a rate limit in Stripe's format."""
        if status == 429 and fault.parameters.get("code") == "lock_timeout":
            return error(429, LOCKED, "lock_timeout").response()
        if status == 429:
            response = error(429, RATE_LIMITED, "rate_limit").response()
            reason = fault.parameters.get("reason", "global-rate")
            response.headers["Stripe-Rate-Limited-Reason"] = str(reason)
            return response
        message = fault.parameters.get("message", "An unknown error occurred")
        return error(status, message, type_="api_error").response()

    def finish(self, call: Call, response: Response) -> Response:
        """Add the request's id, the API version and the idempotency key of the request."""
        self._note(call, response)
        headers = response.headers
        if response.status_code >= 400 and response.status_code != 401:
            request_id = headers.get("Original-Request", call.notes.get("request_id", ""))
            response.set_data(with_log_url(response.get_data(), request_id))
        headers.setdefault("Request-Id", call.notes.get("request_id", ""))
        headers["Stripe-Version"] = call.request.headers.get("Stripe-Version", API_VERSION)
        if call.notes.get("key"):
            headers["Idempotency-Key"] = call.notes["key"]
        if response.status_code == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Stripe"'
        return response

    def _note(self, call: Call, response: Response) -> None:
        """Write the request to the file that SANDBOX_STRIPE_REQUESTS names, as a line of JSON."""
        if self._requests is None:
            return
        request = call.request
        noted = {
            "method": request.method,
            "url": request.full_path,
            "body": request.get_data(as_text=True),
            "version": request.headers.get("Stripe-Version"),
            "status": response.status_code,
        }
        with self._lock, Path(self._requests).open("a", encoding="utf-8") as file:
            file.write(json.dumps(noted) + "\n")

    def perform(self, call: Call, run: Callable[[], Response]) -> Response:
        """Run the handler once for each idempotency key; a repeat gets the stored response."""
        key = call.request.headers.get("Idempotency-Key")
        if not key or call.request.method not in access.methods_with_keys(call.request):
            with_effect = super().perform
            return with_effect(call, lambda: self._atomic(call, run))
        if len(key) > 255:
            raise error(400, "Idempotency-Key must be at most 255 characters.")
        call.notes["key"] = key
        with self._lock:
            if key in self._running:
                message = IN_USE.format(key=key)
                raise error(409, message, "idempotency_key_in_use", type_="idempotency_error")
            stored = self._stored(key, call)
            if stored is None:
                self._running.add(key)
        if stored is not None:
            return self.after(self.before(call), stored)
        try:
            return self._first_time(key, call, run)
        finally:
            with self._lock:
                self._running.discard(key)

    def _atomic(self, call: Call, run: Callable[[], Response]) -> Response:
        """Do what the clock has due, and run the handler, in one transaction.

        Parameters that the handler has not read undo what it did: none is ignored.
        """
        with self.box.store.transaction():
            self.payments.account.clock.catch_up()
            response = run()
            if access.takes_parameters(call):
                described.refuse_unread(call, read_params(call.request))
            return response

    def _first_time(self, key: str, call: Call, run: Callable[[], Response]) -> Response:
        fault = self.before(call)
        status_fault = fault if fault and fault.kind == "status" else None
        is_stored = bool(status_fault and status_fault.parameters.get("stored"))
        if status_fault and not status_fault.parameters.get("after_effect"):
            response = self.planned(status_fault)
            if is_stored:
                self._keep(key, call, response)
            return response
        try:
            with self.box.store.transaction():
                response = self._atomic(call, run)
                planned = self.planned(status_fault) if status_fault else response
                self._keep(key, call, planned if is_stored else response)
        except Refusal as refusal:
            if refusal.executed:
                self._keep(key, call, refusal.response())
            if fault and fault.kind == "lost_reply":
                raise Dropped from refusal
            raise
        if fault and fault.kind == "lost_reply":
            raise Dropped
        return cut(planned) if fault and fault.kind == "cut_reply" else planned

    def _stored(self, key: str, call: Call) -> Response | None:
        life = self.box.settings.number("stripe.idempotency_seconds")
        rows = self.box.store.read(
            "SELECT * FROM idempotency WHERE key = ? AND created > ?", (key, time.time() - life)
        )
        if not rows:
            return None
        row = rows[0]
        if row["path"] != call.request.path:
            message = OTHER_PATH.format(key=key, new=call.request.path, old=row["path"])
            raise error(400, message, type_="idempotency_error")
        if row["fingerprint"] != access.fingerprint(call):
            code = "idempotency_error" if access.is_v2(call.request) else None
            raise error(400, OTHER_PARAMS.format(key=key), code, type_="idempotency_error")
        headers = {**json.loads(row["headers"]), "Idempotent-Replayed": "true"}
        return Response(row["body"], row["status"], headers, content_type="application/json")

    def _keep(self, key: str, call: Call, response: Response) -> None:
        headers = {"Original-Request": call.notes["request_id"]}
        self.box.store.execute(
            "INSERT OR REPLACE INTO idempotency VALUES (?,?,?,?,?,?,?)",
            (key, call.request.path, access.fingerprint(call), time.time(), response.status_code,
             json.dumps(headers), response.get_data()),
        )  # fmt: skip

    def _shown(self, response: Response, params: Json) -> Response:
        if "expand" not in params or response.status_code != 200:
            return response
        return self.desk.answer(json.loads(response.get_data()), params)

    def _create(self, call: Call) -> Response:
        params = read_params(call.request)
        params |= kept(described.read(call, "payment_intent_create", params))
        return self._shown(self.payments.create(call, params), params)

    def _on(
        self, change: Callable[[Call, Json, Json], Response], verb: str
    ) -> Callable[..., Response]:
        def handler(call: Call, id: str) -> Response:
            params = read_params(call.request)
            params |= kept(described.read(call, f"payment_intent_{verb}", params))
            changed = {name: value for name, value in params.items() if name != "expand"}
            return self._shown(change(call, self.payments.intent(id), changed), params)

        return handler

    def _refunds_of(self, charge: Json) -> Json:
        found = self.desk.all("refund", charge=charge["id"])
        return listing(found, f"/v1/charges/{charge['id']}/refunds")

    def _intent(self, call: Call, id: str) -> Response:
        params = read_params(call.request)
        described.read(call, "payment_intent_retrieve", params)
        intent = self.payments.intent(id)
        access.refuse_secret(intent, params)
        return self._shown(reply(intent), params)

    def _retrieve(self, kind: str, param: str) -> Callable[..., Response]:
        def handler(call: Call, id: str) -> Response:
            row = self.box.store.get(kind, id)
            if row is None:
                raise no_such(kind, id, param)
            return self._shown(reply(public(row.body)), read_params(call.request))

        return handler

    def _list(self, kind: str, url: str) -> Callable[..., Response]:
        def handler(call: Call) -> Response:
            params = read_params(call.request)
            given = described.read(call, f"{kind}_list", params)
            wanted = {k: v for k, v in given.items() if k not in (*described.PAGING, "created")}
            rows = [public(row.body) for row in self.box.store.query(kind)]
            rows = [row for row in rows if all(row.get(k) == v for k, v in wanted.items())]
            return self._shown(reply(page(created_between(rows, params), params, url)), params)

        return handler

    def _search(self, kind: str, url: str) -> Callable[..., Response]:
        def handler(call: Call) -> Response:
            params = read_params(call.request)
            described.read(call, f"{kind}_search", params)
            found = [public(each) for each in search_results(self.box, kind, params)]
            return self._shown(reply(search_page(found, params, f"{url}/search")), params)

        return handler
