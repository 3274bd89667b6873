"""The control API: addresses, planned faults, settings, the journal of effects and their counts.

Only the vendors' endpoints write the journal, each entry together with its effect. The endpoint for
the counts of effects (the books) only reads the journal.
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from werkzeug.wrappers import Request, Response

from ops.sandbox.box import Box
from ops.sandbox.replicate.gallery import FACE_SWAP
from ops.sandbox.replicate.runs import Runs
from ops.sandbox.store import Json
from ops.sandbox.stripe.money.operations import Money
from ops.sandbox.wire import Call, Refusal, Route, Vendor, bearer, json_object, reply

EFFECTS = (
    "payment_intents", "authorizations", "payments", "captures", "cancellations", "refunds",
    "customers.deleted", "customers.updated", "payment_methods.attached", "setup_intents",
    "payment_methods.detached", "setups", "products", "products.updated", "prices",
    "prices.updated", "checkout.sessions", "checkouts", "checkouts_expired",
    "refunds_failed", "refunds_canceled", "challenges", "disputes", "payouts",
    "usage", "usage_canceled", "evidence", "disputes_accepted", "invoices",
    "invoices.finalized", "invoices.paid",
    "invoices.voided", "credit_notes", "credit_notes.voided", "subscriptions",
    "subscriptions.canceled", "subscriptions.raised", "subscriptions.lowered",
    "subscriptions.paused", "subscriptions.resumed", "subscriptions.ending",
    "subscriptions.going_on",
    "declines", "customers", "captions", "moderations", "responses_cancelled",
    "responses_deleted", "predictions",
    "predictions_succeeded", "predictions_failed", "predictions_canceled", "predictions_aborted",
    "trainings", "trainings_succeeded", "trainings_failed", "trainings_canceled",
    "model_deployments", "model_deployments.updated", "model_deployments.deleted", "models",
    "models.updated", "models.deleted", "versions.deleted", "files",
    "files_deleted", "deployments", "deployments_ready", "deployments_failed", "removals",
    "kicking_rules", "kicking_rules_updated", "kicking_rules_deleted", "joins", "notifications",
    "notifications_repeated", "jobs", "jobs_cancelled",
    "embeddings", "images", "speech", "transcriptions", "translations", "webhook_endpoints",
    "batches", "batches_cancelling", "batches_completed", "batches_failed", "batches_expired",
    "batches_cancelled",
)  # fmt: skip
LIMITS = (
    "STRIPE_LIMIT_REQUESTS", "STRIPE_LIMIT_ENDPOINT_REQUESTS", "OPENAI_LIMIT_REQUESTS",
    "OPENAI_LIMIT_TOKENS", "REPLICATE_LIMIT_CREATIONS", "REPLICATE_LIMIT_REQUESTS",
    "AGORA_LIMIT_QUERIES", "AGORA_LIMIT_REQUESTS", "N8N_LIMIT_REQUESTS", "HTTP_LIMIT_REQUESTS",
    "STRIPE_LIMIT_IN_FLIGHT", "OPENAI_LIMIT_IN_FLIGHT", "REPLICATE_LIMIT_IN_FLIGHT",
    "VERCEL_LIMIT_IN_FLIGHT", "AGORA_LIMIT_IN_FLIGHT", "N8N_LIMIT_IN_FLIGHT",
    "HTTP_LIMIT_IN_FLIGHT",
)  # fmt: skip
_NAMED = ("replicate", "http", "pages")
_SOON_SECONDS = 60.0
COLUMNS = ("vendor", "operation", "effect", "object_id", "key")


class Control(Vendor):
    """The WSGI application on the control port; only /healthz needs no key."""

    name = "control"

    def __init__(self, box: Box, runs: Runs, money: Money) -> None:
        self._runs, self._money = runs, money
        super().__init__(box)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            ("GET", "/", "map", lambda call: reply(describe(self.box))),
            ("GET", "/healthz", "healthz", lambda call: reply({"status": "ok"})),
            ("GET", "/faults", "faults.list", self._faults),
            ("POST", "/faults", "faults.add", self._add_fault),
            ("DELETE", "/faults", "faults.clear", self._clear_faults),
            ("GET", "/settings", "settings.get", lambda call: reply(self.box.settings.all())),
            ("PUT", "/settings", "settings.change", self._change),
            ("POST", "/replicate/release", "replicate.release", self._release),
            *self._money.control(),
            ("GET", "/books", "books", self._books),
            ("GET", "/journal", "journal", self._journal),
            ("GET", "/bills", "bills", self._bills),
            ("GET", "/webhooks", "webhooks", self._webhooks),
            ("GET", "/underway", "underway", lambda call: reply(underway(self.box))),
            ("POST", "/reset", "reset", self._reset),
        ]

    def authenticate(self, call: Call) -> None:
        """Raise Refusal unless the request has the key of the control API."""
        sent = (bearer(call.request) or "").encode()
        if call.operation != "healthz" and not hmac.compare_digest(sent, self.box.key.encode()):
            raise Refusal(
                401,
                {"error": "send the sandbox's key: Authorization: Bearer KEY"},
                {"WWW-Authenticate": "Bearer"},
            )

    def missing(self, request: Request) -> Response:
        """Return 404 with a list of the known addresses."""
        known = sorted({f"{method} {path}" for method, path, _, _ in self.routes()})
        return reply({"error": f"no {request.method} {request.path}", "known": known}, 404)

    def _faults(self, call: Call) -> Response:
        return reply({"faults": [fault.describe() for fault in self.box.faults.all()]})

    def _add_fault(self, call: Call) -> Response:
        try:
            fault = self.box.faults.add(_body(call))
        except ValueError as error:
            raise Refusal(400, {"error": str(error)}) from error
        return reply(fault.describe(), 201)

    def _clear_faults(self, call: Call) -> Response:
        self.box.faults.clear()
        return Response(status=204)

    def _change(self, call: Call) -> Response:
        try:
            self.box.settings.change(_body(call))
        except ValueError as error:
            raise Refusal(400, {"error": str(error)}) from error
        self._apply()
        return reply(self.box.settings.all())

    def _apply(self) -> None:
        self.box.timers.hold("prediction.finish", self.box.settings.flag("replicate.hold"))
        self.box.timers.hold("response.finish", self.box.settings.flag("openai.hold"))

    def _release(self, call: Call) -> Response:
        count = _body(call).get("count")
        if count is not None and (not isinstance(count, int) or count < 1):
            raise Refusal(400, {"error": "count is a positive number"})
        return reply({"released": self._runs.release(count)})

    def _books(self, call: Call) -> Response:
        where, parameters = _condition(call.request)
        rows = self.box.store.read(
            f"SELECT effect, count(*) AS n FROM journal WHERE {where} GROUP BY effect",
            parameters,
        )
        counts = dict.fromkeys(EFFECTS, 0) | {row["effect"]: row["n"] for row in rows}
        return reply({"counts": counts, "total": sum(counts.values())})

    def _journal(self, call: Call) -> Response:
        where, parameters = _condition(call.request)
        after = call.request.args.get("after", 0, type=int)
        rows = self.box.store.read(
            f"SELECT * FROM journal WHERE seq > ? AND {where} ORDER BY seq",
            [after, *parameters],
        )
        entries = [dict(row) | {"details": json.loads(row["details"])} for row in rows]
        return reply({"entries": entries, "last": entries[-1]["seq"] if entries else after})

    def _bills(self, call: Call) -> Response:
        after = call.request.args.get("after", 0, type=int)
        rows = self.box.store.read("SELECT * FROM bills WHERE seq > ? ORDER BY seq", (after,))
        bills = []
        for row in rows:
            told = dict(row)
            bills.append(told | json.loads(told.pop("details")))
        return reply({"bills": bills, "last": bills[-1]["seq"] if bills else after})

    def _webhooks(self, call: Call) -> Response:
        after = call.request.args.get("after", 0, type=int)
        return reply({"deliveries": self.box.outbox.deliveries(after)})

    def _reset(self, call: Call) -> Response:
        hook = self.box.settings.text("hook_base")
        self.box.store.reset()
        self.box.settings.reload()
        self.box.faults.reload()
        if hook:
            self.box.settings.change({"hook_base": hook})
        self._apply()
        return reply({"status": "empty"})


def describe(box: Box) -> Json:
    """Return the base URLs and the environment variables that a client of the sandbox needs."""
    urls, token = box.urls, f"Bearer {box.credentials.HTTP_JOBS_TOKEN}"
    variables = {
        "STRIPE_BASE_URL": urls["stripe"],
        "OPENAI_BASE_URL": f"{urls['openai']}/v1",
        "REPLICATE_BASE_URL": urls["replicate"],
        "VERCEL_BASE_URL": urls["vercel"],
        "VERCEL_PAGE_URL": f"{urls['pages']}/{{url}}",
        "AGORA_BASE_URL": urls["agora"],
        # The sandbox limits only what a test tells it to, so that the vendors' own limits would
        # only slow its clients down.
        **dict.fromkeys(LIMITS, "0"),
        # Its clients count its calls. A step that reuses a result says so.
        "OPENAI_CACHE_SECONDS": "0",
        "REPLICATE_CACHE_SECONDS": "0",
        "N8N_BASE_URL": urls["n8n"],
        # Addresses on loopback that are not in a setting but in answers and definitions.
        "OUTBOUND_ALLOWED": ",".join(urls[each].removeprefix("http://") for each in _NAMED),
        "HTTP_SECRETS": json.dumps({"sandbox_jobs": {"value": token, "to": [urls["http"]]}}),
    }
    credentials = asdict(box.credentials)
    del credentials["HTTP_JOBS_TOKEN"]  # It is in HTTP_SECRETS.
    return {
        "vendors": urls,
        "env": variables | credentials,
        "face_swap": {"model": FACE_SWAP.full_name, "version": FACE_SWAP.version},
        "hook_base": box.settings.text("hook_base"),
    }


def underway(box: Box) -> Json:
    """Return how many webhooks are sent soon, and how many objects move on by themselves within a
    minute of real time. What waits for the sandbox's clock, and queues that are held, do not
    count."""
    virtual, held = box.timers.virtual(), box.timers.held()
    waits, is_held = (f"queue IN ({','.join('?' * len(each))})" for each in (virtual, held))
    objects = f"queue IS NOT NULL AND due <= CASE WHEN {waits} THEN ? ELSE ? END AND NOT {is_held}"
    # The time is read with the store's lock held: a timer may make its object due anew meanwhile.
    with box.store.transaction():
        now = time.time()
        rows = box.store.read(
            f"SELECT count(*) AS objects FROM objects WHERE {objects}",
            (*virtual, now, now + _SOON_SECONDS, *held),
        )
    return {"webhooks": box.outbox.underway(), "objects": int(rows[0]["objects"])}


def _body(call: Call) -> dict[str, Any]:
    body = json_object(call.request)
    if body is None:
        raise Refusal(400, {"error": "the body is not a JSON object"})
    return body


def _condition(request: Request) -> tuple[str, list[str]]:
    """Return an SQL condition and its parameters for the filters of a request.

    A filter is a column (`<column>=<value>`), a part of the input (`input=<substring>`), or a path
    in the details (`<path>=<value>`).
    """
    tests, parameters = ["1"], []
    for name, value in request.args.items():
        if name == "after":
            continue
        if name in COLUMNS:
            tests.append(f"{name} = ?")
            parameters.append(value)
        elif name == "input":
            tests.append("instr(json_extract(details, '$.input'), ?) > 0")
            parameters.append(value)
        else:
            head, dot, rest = name.partition(".")
            path = f'$."{head}"."{rest}"' if dot else f'$."{head}"'
            tests.append("CAST(json_extract(details, ?) AS TEXT) = ?")
            parameters += [path, value]
    return " AND ".join(tests), parameters
