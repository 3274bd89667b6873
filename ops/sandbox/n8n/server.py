"""An imitation of n8n: one active workflow behind a production webhook, and the public API.

The workflow verifies the Standard Webhooks signature, responds at once, and later reports its
outcome by a signed callback. A repeated `webhook-id` does not run it again, unless it threw.
https://docs.n8n.io/api/
"""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Sequence
from typing import Any

from werkzeug.wrappers import Request, Response

from ops.sandbox.box import Box, iso, token62
from ops.sandbox.faults import Fault
from ops.sandbox.store import Json, Row
from ops.sandbox.webhooks.signing import standard_headers
from ops.sandbox.wire import Call, Refusal, Route, Vendor, json_object, reply

WORKFLOW = "pLaYaLtErSaNdBoX"
TOLERANCE_SECONDS = 300
HINT = (
    "The workflow must be active for a production URL to run successfully. You can activate the "
    "workflow using the toggle in the top-right of the editor. Note that unlike test URL calls, "
    "production URL calls aren't shown on the canvas (only in the executions list)"
)


class N8n(Vendor):
    """The WSGI application on n8n's port."""

    name = "n8n"

    def __init__(self, box: Box) -> None:
        box.timers.register("execution.finish", "execution", self._finish)
        super().__init__(box)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        return [
            ("POST", "/webhook/<path:path>", "webhook.post", self._webhook),
            ("GET", "/api/v1/executions", "executions.list", self._executions),
            ("GET", "/api/v1/executions/<id>", "executions.get", self._execution),
            ("GET", "/api/v1/workflows", "workflows.list", self._workflows),
            ("GET", "/api/v1/workflows/<id>", "workflows.get", self._workflow),
            ("GET", "/healthz", "healthz", lambda call: reply({"status": "ok"})),
        ]

    def authenticate(self, call: Call) -> None:
        """Raise n8n's 401 if a request to the public API has a missing or wrong key."""
        if not call.request.path.startswith("/api/"):
            return
        key = call.request.headers.get("X-N8N-API-KEY")
        if key is None:
            raise Refusal(401, {"message": "'X-N8N-API-KEY' header required"})
        if key != self.box.credentials.N8N_API_KEY:
            raise Refusal(401, {"message": "unauthorized"})

    def missing(self, request: Request) -> Response:
        """Return n8n's 404; for a webhook its message contains the method and the path."""
        if request.path.startswith("/webhook/"):
            return _unregistered(request.method, request.path.removeprefix("/webhook/")).response()
        return reply({"message": "not found"}, 404)

    def failure(self, status: int, fault: Fault) -> Response:
        """Return an error in n8n's format."""
        if "html" in fault.parameters:
            # What a proxy or a login page in front of n8n answers.
            return Response(str(fault.parameters["html"]), status, content_type="text/html")
        default = (
            "Too many requests" if status == 429 else "There was a problem executing the workflow"
        )
        said = {"message": fault.parameters.get("message", default)}
        # The errors of webhooks have a code, and those of the public API do not.
        is_public = fault.operation.startswith(("executions.", "workflows."))
        return reply(said if is_public else {"code": 0, **said}, status)

    def _webhook(self, call: Call, path: str) -> Response:
        if path.strip("/") != self.box.credentials.N8N_WEBHOOK_PATH:
            raise _unregistered("POST", path)
        message_id = self._verified(call.request)
        body = json_object(call.request)
        if body is None:
            raise Refusal(400, {"message": "the body is not a JSON object"})
        with self.box.store.transaction():
            known = self.box.store.get("n8n_message", message_id)
            if known:
                self._note(
                    call, "notifications_repeated", known.body["execution"], message_id, body
                )
                return reply({"executionId": known.body["execution"], "duplicate": True})
            execution_id = self._execute(call, message_id, body)
            if self.box.settings.text("n8n.outcome") == "throws":
                return self._throw(execution_id, message_id)
        padding = "x" * int(self.box.settings.number("n8n.answer_bytes"))
        return reply({"executionId": execution_id} | ({"answer": padding} if padding else {}))

    def _execute(self, call: Call, message_id: str, body: Json) -> str:
        fault = self.box.faults.take("n8n", call.operation, ("fail",), call.text)
        now, store = time.time(), self.box.store
        execution_id = str(store.next_number())
        execution = {
            "id": execution_id,
            "finished": False,
            "mode": "webhook",
            "retryOf": None,
            "retrySuccessId": None,
            "status": "running",
            "startedAt": iso(now),
            "stoppedAt": None,
            "workflowId": WORKFLOW,
            "waitTill": None,
            "storedAt": "db",
            "jsonSizeBytes": len(json.dumps(body)),
            "workflowVersionId": None,
            "customData": {"reference": str(body.get("reference", ""))},
            "sandbox": {
                "body": body,
                "fail": (fault.parameters.get("error") or "Sandbox fault") if fault else None,
                "message_id": message_id,
                "outcome": self.box.settings.text("n8n.outcome"),
            },
        }
        due = now + self.box.settings.number("n8n.delay_seconds")
        store.put("execution", execution_id, execution, "execution.finish", due)
        store.put("n8n_message", message_id, {"execution": execution_id})
        self._note(call, "notifications", execution_id, message_id, body)
        return execution_id

    def _throw(self, execution_id: str, message_id: str) -> Response:
        """Answer as a workflow that throws before its Respond to Webhook node.

        It has not reached the node that would remember the message's id, so the same message would
        run it again. It does not call back.
        """
        row = self.box.store.get("execution", execution_id)
        assert row is not None
        ended = {"status": "error", "stoppedAt": iso(time.time())}
        self.box.store.put("execution", execution_id, row.body | ended)
        self.box.store.delete("n8n_message", message_id)
        return reply({"message": "Error in workflow"}, 500)

    def _note(
        self, call: Call, effect: str, execution_id: str, message_id: str, body: Json
    ) -> None:
        details = {"reference": body.get("reference"), "event": body.get("event")}
        self.box.store.journal("n8n", call.operation, effect, execution_id, message_id, details)

    def _verified(self, request: Request) -> str:
        headers = request.headers
        message_id, stamp = headers.get("webhook-id"), headers.get("webhook-timestamp", "")
        given = headers.get("webhook-signature", "")
        if not message_id or not stamp.isdigit() or not given:
            raise Refusal(401, {"message": "Missing required headers"})
        if abs(time.time() - int(stamp)) > TOLERANCE_SECONDS:
            raise Refusal(401, {"message": "Message timestamp is outside the tolerance"})
        secret = self.box.credentials.N8N_WEBHOOK_SECRET
        signed = standard_headers(secret, message_id, request.get_data(), int(stamp))
        expected = signed["webhook-signature"]
        if not any(hmac.compare_digest(expected, each) for each in given.split()):
            raise Refusal(401, {"message": "No matching signature found"})
        return message_id

    def _finish(self, execution_id: str) -> None:
        with self.box.store.transaction():
            row = self.box.store.get("execution", execution_id)
            if row is None:
                return
            execution = row.body
            notes = execution["sandbox"]
            outcome = notes["outcome"]
            error = notes["fail"] or (
                "The service refused the message" if outcome == "error" else None
            )
            if outcome == "silent" and not notes["fail"]:
                self.box.store.put("execution", execution_id, execution)
                return
            status = "error" if error else "success"
            execution |= {
                "finished": not error, "status": status, "stoppedAt": iso(time.time()),
            }  # fmt: skip
            self.box.store.put("execution", execution_id, execution)
            self._callback(execution, status, error)

    def _callback(self, execution: Json, status: str, error: str | None) -> None:
        body = execution["sandbox"]["body"]
        address = body.get("callback_url")
        if not isinstance(address, str) or not address.startswith(("http://", "https://")):
            return
        event = "notification.failed" if error else "notification.delivered"
        message: Json = {
            "event": event,
            "reference": body.get("reference"),
            "executionId": execution["id"],
            "status": status,
            "delivered_to": _recipient(body),
        }
        if error:
            message["error"] = error
        self.box.outbox.post(
            "n8n", event, address, f"msg_{token62(27)}", execution["id"],
            json.dumps(message).encode(), "standard",
        )  # fmt: skip

    def _executions(self, call: Call) -> Response:
        arguments = call.request.args
        limit = min(250, int(arguments.get("limit", "100")))
        before = _cursor(arguments.get("cursor"))
        where, parameters = "seq < ?", [before]
        rows = self.box.store.query("execution", where, parameters)
        rows = [row for row in rows if _is_wanted(row, arguments.to_dict())]
        shown, cursor = rows[:limit], None
        if len(rows) > limit:
            cursor = base64.b64encode(json.dumps({"lastId": shown[-1].seq}).encode()).decode()
        include = arguments.get("includeData") == "true"
        return reply({"data": [_shown(row, include) for row in shown], "nextCursor": cursor})

    def _execution(self, call: Call, id: str) -> Response:
        row = self.box.store.get("execution", id)
        if row is None:
            raise Refusal(404, {"message": "Not Found"})
        return reply(_shown(row, call.request.args.get("includeData") == "true"))

    def _workflows(self, call: Call) -> Response:
        return reply({"data": [self._workflow_object()], "nextCursor": None})

    def _workflow(self, call: Call, id: str) -> Response:
        if id != WORKFLOW:
            raise Refusal(404, {"message": "Not Found"})
        return reply(self._workflow_object())

    def _workflow_object(self) -> Json:
        path = self.box.credentials.N8N_WEBHOOK_PATH
        node = {
            "id": "webhook", "name": "Webhook", "type": "n8n-nodes-base.webhook",
            "typeVersion": 2, "position": [0, 0],
            "parameters": {"httpMethod": "POST", "path": path, "responseMode": "responseNode"},
        }  # fmt: skip
        return {
            "id": WORKFLOW,
            "name": "Playalter notification",
            "active": True,
            "isArchived": False,
            "createdAt": "2026-01-05T09:00:00.000Z",
            "updatedAt": "2026-01-05T09:00:00.000Z",
            "nodes": [node],
            "connections": {},
            "settings": {"executionOrder": "v1"},
            "tags": [],
        }


def _unregistered(method: str, path: str) -> Refusal:
    message = f'The requested webhook "{method} {path}" is not registered.'
    return Refusal(404, {"code": 404, "message": message, "hint": HINT})


def _recipient(body: Json) -> Any:
    data = body.get("data") if isinstance(body.get("data"), dict) else {}
    names = ("to", "email", "customer_email", "recipient")
    found = [part[name] for part in (body, data) for name in names if part and name in part]
    return found[0] if found else None


def _shown(row: Row, include_data: bool) -> Json:
    body = {name: value for name, value in row.body.items() if name != "sandbox"}
    if include_data:
        notes = row.body["sandbox"]
        body["data"] = {"resultData": {"runData": {"Webhook": [{"body": notes["body"]}]}}}
    return body


def _is_wanted(row: Row, arguments: dict[str, str]) -> bool:
    same = ("status", "workflowId")
    return all(row.body[name] == arguments[name] for name in same if name in arguments)


def _cursor(given: str | None) -> int:
    if not given:
        return 2**62
    try:
        return int(json.loads(base64.b64decode(given))["lastId"])
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(400, {"message": "An invalid cursor was provided"}) from error
