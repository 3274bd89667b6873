"""No request, of whatever shape, makes the sandbox fail: it is served, or refused with Replicate's
problem documents."""

from __future__ import annotations

import pytest
import requests

from tests.sandbox.replicate.checked import faults_of_reply
from tests.sandbox.replicate.mutations import Mutations
from tests.sandbox.running import Sandbox


def failures(sandbox: Sandbox, http: requests.Session, seed: int, count: int) -> list[str]:
    """Send so many requests; return those that failed, or were not answered as described."""
    sandbox.settings(replicate__duration_seconds=0, replicate__training_seconds=0)
    drawn, found = Mutations(seed), []
    http.headers["Authorization"] = f"Bearer {sandbox.env('REPLICATE_API_TOKEN')}"
    base = sandbox.env("REPLICATE_BASE_URL")
    for _ in range(count):
        method, path, query, headers, body = drawn.request()
        sent = {name: each.encode("latin-1") for name, each in headers.items()}
        asked = {name: str(each).encode("utf-8", "surrogatepass") for name, each in query.items()}
        answer = http.request(
            method, base + path, params=asked, headers=sent, data=body, timeout=30
        )
        said = f"seed {seed}: {answer.status_code} {method} {path} {query} {headers} {body[:300]!r}"
        if answer.status_code >= 500:
            found.append(said)
            continue
        url, status = base + path, answer.status_code
        if wrong := faults_of_reply(method, url, status, answer.headers, answer.content):
            found.append(f"{said}: {wrong}")
        elif answer.headers.get("Content-Type") == "application/json":
            drawn.learn(answer.json())
    return found


def test_a_request_of_any_shape_is_served_or_refused(
    sandbox: Sandbox, http: requests.Session
) -> None:
    assert failures(sandbox, http, 1, 150) == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_requests_of_any_shape_are_served_or_refused(
    sandbox: Sandbox, http: requests.Session, seed: int
) -> None:
    assert failures(sandbox, http, seed, 1000) == []
