"""n8n: a signed webhook in, a signed callback out, verified by `standardwebhooks`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from standardwebhooks import Webhook

from tests.sandbox.running import Catcher, Sandbox, until

BODY = {"event": "campaign.published", "reference": "ref-1", "to": "ada@example.com"}


class Caller:
    """Posts to the production webhook and reads the public API."""

    def __init__(self, sandbox: Sandbox, http: requests.Session, callback: str) -> None:
        self.base, self.http = sandbox.env("N8N_BASE_URL"), http
        self.path, self.secret = sandbox.env("N8N_WEBHOOK_PATH"), sandbox.env("N8N_WEBHOOK_SECRET")
        self.key = {"X-N8N-API-KEY": sandbox.env("N8N_API_KEY")}
        self.body = json.dumps(BODY | {"callback_url": callback})

    def post(self, message_id: str = "msg_1", path: str = "", **headers: str) -> requests.Response:
        now = datetime.now(UTC)
        signed = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(self.secret).sign(message_id, now, self.body),
        } | headers
        address = f"{self.base}/webhook/{path or self.path}"
        return self.http.post(address, data=self.body, headers=signed, timeout=10)

    def execution(self, execution_id: str) -> dict[str, Any]:
        address = f"{self.base}/api/v1/executions/{execution_id}"
        found: dict[str, Any] = self.http.get(address, headers=self.key, timeout=10).json()
        return found


@pytest.fixture
def caller(sandbox: Sandbox, http: requests.Session, catcher: Catcher) -> Caller:
    sandbox.settings(n8n__delay_seconds=0.05)
    return Caller(sandbox, http, f"{catcher.url}/back")


def test_notification_is_answered_at_once_and_reported_by_a_signed_callback(
    sandbox: Sandbox, caller: Caller, catcher: Catcher
) -> None:
    execution_id = caller.post().json()["executionId"]
    until(lambda: catcher.events("/back"))
    _, headers, raw = catcher.got[0]
    body = Webhook(caller.secret).verify(raw, headers)
    assert body == {
        "event": "notification.delivered",
        "reference": "ref-1",
        "executionId": execution_id,
        "status": "success",
        "delivered_to": "ada@example.com",
    }
    assert caller.execution(execution_id)["status"] == "success"
    assert sandbox.books("?reference=ref-1")["notifications"] == 1


def test_repeated_webhook_id_does_not_run_again(
    sandbox: Sandbox, caller: Caller, catcher: Catcher
) -> None:
    first, again = caller.post().json(), caller.post().json()
    assert again["executionId"] == first["executionId"]
    until(lambda: catcher.events("/back"))
    counts = sandbox.books("?key=msg_1")
    assert (counts["notifications"], counts["notifications_repeated"]) == (1, 1)


def test_configured_outcomes_are_error_and_silence(
    sandbox: Sandbox, caller: Caller, catcher: Catcher
) -> None:
    sandbox.settings(n8n__outcome="error")
    failed = caller.post("msg_e").json()["executionId"]
    until(lambda: catcher.events("/back", "notification.failed"))
    assert catcher.events("/back")[0]["status"] == "error"
    assert caller.execution(failed)["status"] == "error"
    sandbox.settings(n8n__outcome="silent")
    silent = caller.post("msg_s").json()["executionId"]
    sandbox.settings(n8n__outcome="success")
    last = caller.post("msg_l").json()["executionId"]
    until(lambda: catcher.events("/back", "notification.delivered"))
    assert caller.execution(last)["status"] == "success"
    assert (caller.execution(silent)["status"], len(catcher.got)) == ("running", 2)


def test_bad_signature_and_unknown_path_are_refused(sandbox: Sandbox, caller: Caller) -> None:
    forged = {"webhook-signature": "v1,AAAA"}
    assert caller.post("msg_f", "", **forged).status_code == 401
    unknown = caller.post(path="nowhere")
    assert unknown.status_code == 404
    message = 'The requested webhook "POST nowhere" is not registered.'
    assert (unknown.json()["code"], unknown.json()["message"]) == (404, message)
    assert sandbox.books()["notifications"] == 0


def test_public_api_wants_its_key(caller: Caller) -> None:
    address = f"{caller.base}/api/v1/workflows"
    assert caller.http.get(address, timeout=10).status_code == 401
    flows = caller.http.get(address, headers=caller.key, timeout=10).json()["data"]
    assert flows[0]["active"]
