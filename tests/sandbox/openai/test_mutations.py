"""No request, of whatever shape, makes the sandbox fail: it is served, or refused with OpenAI's
JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tests.sandbox.openai.mutations import FORMS, Mutations
from tests.sandbox.openai.served import routes
from tests.sandbox.running import Sandbox

TOOL = {"type": "function", "name": "look_up", "parameters": None, "strict": None}
SEEDS: list[dict[str, Any]] = [
    {"input": "Brief: a ball"},
    {"input": "Brief: a ball", "background": True, "stream": True},
    {"input": "Brief: a ball", "background": True},
    {"input": "Please look_up the ball", "tools": [TOOL]},
]
KINDS = (
    "application/json", "text/event", "audio/", "text/plain", "text/vtt",
    "application/octet-stream",
)  # fmt: skip
"""The types of replies."""
ODD_BODIES = (
    b"[]", b"nonsense", b"\xff\xfe", b'"text"', b"NaN", b'{"model": NaN}', b"[" * 50_000,
    b'{"model": "gpt-5.4-mini", "input": "\\ud800"}', b'{"a":' * 30_000, b'{"temperature": 1e400}',
)  # fmt: skip


def failures(sandbox: Sandbox, http: requests.Session, seed: int, count: int) -> list[str]:
    """Send so many requests, after those that make objects; return those that failed."""
    drawn, found, served = Mutations(seed), [], routes()
    sandbox.settings(openai__queue_seconds=0, openai__background_seconds=0)
    http.headers["Authorization"] = f"Bearer {sandbox.env('OPENAI_API_KEY')}"
    base = sandbox.env("OPENAI_BASE_URL").removesuffix("/v1")
    for body in SEEDS:
        sent = {"model": "gpt-5.4-mini", **body}
        made = http.post(f"{base}/v1/responses", json=sent, timeout=10)
        assert made.ok, made.text
        if "stream" not in body:
            drawn.learn(made.json())
    for _ in range(count):
        method, form, operation = drawn.one_of(served)
        path, params = drawn.path(form), drawn.params(operation)
        if method == "GET":
            answer = http.get(base + path, params=drawn.query(params), timeout=30)
        elif operation in FORMS and (parts := drawn.form(params)):
            answer = http.post(base + path, files=parts, timeout=30)
        else:
            answer = http.request(method, base + path, json=params, timeout=30)
        is_known = answer.headers["Content-Type"].startswith(KINDS)
        if answer.status_code >= 500 or not is_known:
            found.append(f"seed {seed}: {answer.status_code} {method} {path} {params}")
        elif answer.headers["Content-Type"] == "application/json":
            drawn.learn(answer.json())
    return found


def test_a_request_of_any_shape_is_served_or_refused(
    sandbox: Sandbox, http: requests.Session
) -> None:
    assert failures(sandbox, http, 1, 200) == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_requests_of_any_shape_are_served_or_refused(
    sandbox: Sandbox, http: requests.Session, seed: int
) -> None:
    assert failures(sandbox, http, seed, 1000) == []


@pytest.mark.parametrize("body", ODD_BODIES, ids=range(len(ODD_BODIES)))
def test_a_body_that_is_no_object_of_json_is_refused(
    sandbox: Sandbox, http: requests.Session, body: bytes
) -> None:
    headers = {"Authorization": f"Bearer {sandbox.env('OPENAI_API_KEY')}"}
    url = f"{sandbox.env('OPENAI_BASE_URL')}/responses"
    answer = http.post(url, data=body, headers=headers, timeout=10)
    assert answer.status_code == 400
    assert "could not parse the JSON body" in json.loads(answer.text)["error"]["message"]
