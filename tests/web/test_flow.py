"""What flow control has decided is said in the answer to a start."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chains.catalogue import versions
from tests.unit.definitions import noop
from tests.web.conftest import Caller

Ask = Callable[..., TestResponse]


@pytest.fixture
def start(client: FlaskClient, caller: Caller) -> Ask:
    """Start a workflow of a definition with this flow control."""

    def ask(key: str, flow: dict[str, Any], **given: Any) -> TestResponse:
        versions.register({"name": "sample", "do": noop("a"), "flow": flow}, activates=True)
        headers = caller.headers | {"Idempotency-Key": key}
        return client.post(
            "/v1/workflows", json={"type": "sample", "input": given}, headers=headers
        )

    return ask


def test_start_beyond_a_rate_limit_is_answered_429_with_the_time_of_the_next(start: Ask) -> None:
    flow = {"rate_limit": {"limit": 1, "period": "1h"}}
    assert start("one", flow).status_code == 201
    refused = start("two", flow)
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")  # type: ignore[index]
    assert 3590 <= int(refused.headers["Retry-After"]) <= 3600
    assert "nothing was started" in refused.get_data(as_text=True)
    again = start("one", flow)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")


def test_start_that_is_gathered_is_accepted_with_the_workflow_and_its_time(start: Ask) -> None:
    flow = {"debounce": {"period": "1h"}}
    first, second = start("one", flow, n=1), start("two", flow, n=2)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json is not None
    assert second.json is not None
    assert [first.json[name] for name in ("status", "flow", "created")] == [
        *("pending", "waits", True),
    ]
    assert [second.json[name] for name in ("id", "flow", "created")] == [
        *(first.json["id"], "joined", False),
    ]
    assert second.json["starts_at"] > first.json["starts_at"]
    assert second.headers["Location"] == f"/v1/workflows/{first.json['id']}"
    again = start("two", flow, n=2)
    assert (again.status_code, again.json["id"]) == (200, first.json["id"])  # type: ignore[index]
    assert start("two", flow, n=3).status_code == 409


def test_start_that_a_singleton_has_skipped_names_the_live_workflow(start: Ask) -> None:
    flow = {"singleton": {"mode": "skip", "key": "input.n"}}
    first, second = start("one", flow, n=1), start("two", flow, n=1, more=True)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json is not None
    assert second.json is not None
    assert second.json["id"] == first.json["id"]
    assert (second.json["created"], second.json["flow"]) == (False, "live")
    assert "Idempotent-Replayed" not in second.headers


def test_key_that_cannot_be_used_is_refused_with_the_reason(start: Ask) -> None:
    refused = start("one", {"singleton": {"mode": "skip", "key": "input.n"}})
    assert refused.status_code == 422
    assert refused.json is not None
    assert refused.json["code"] == "flow_key_invalid"
    assert refused.json["errors"][0]["pointer"] == "/input"
