"""Clients that compare each request and each reply with Replicate's description."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
from replicate.client import Client

from tests.sandbox.replicate.checked import faults_of_reply, faults_of_request
from tests.sandbox.running import Sandbox


class CheckedTransport(httpx.BaseTransport):
    """The transport of the SDK. It fails for a reply that is not as described, and if the sandbox
    accepts a request that is not."""

    def __init__(self) -> None:
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and check it and the reply."""
        sent, url = request.read(), str(request.url)
        response = self._inner.handle_request(request)
        if response.headers.get("Content-Type", "").startswith("text/event-stream"):
            return response
        body, status = response.read(), response.status_code
        assert faults_of_reply(request.method, url, status, response.headers, body) == []
        if status < 400:
            assert faults_of_request(request.method, url, request.headers, sent) == []
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class Plain:
    """Plain HTTP with the token, for what the SDK cannot do or read; it checks as the SDK's."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.base = sandbox.env("REPLICATE_BASE_URL")
        self._session = requests.Session()
        token = sandbox.env("REPLICATE_API_TOKEN")
        self._session.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        """Send a request to a path, or to an address of the sandbox."""
        url = path if path.startswith("http") else f"{self.base}/v1{path}"
        answer = self._session.request(method, url, json=body, timeout=10, **more)
        request, status = answer.request, answer.status_code
        assert request.url is not None
        seen = faults_of_reply(method, request.url, status, answer.headers, answer.content)
        assert seen == []
        if status < 400:
            sent = request.body or b""
            raw = sent.encode() if isinstance(sent, str) else sent
            assert faults_of_request(method, request.url, request.headers, raw) == []
        return answer

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the JSON of a successful GET."""
        answer = self("GET", path, params=parameters)
        assert answer.ok, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """Return the JSON of a successful POST; a dash in a header's name is an underscore."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self("POST", path, body, headers=named)
        assert answer.ok, answer.text
        return answer.json()

    def refused(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the problem that a request is refused with."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self(method, path, body, headers=named)
        assert 400 <= answer.status_code < 500, answer.text
        return {"status": answer.status_code} | answer.json()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


@pytest.fixture
def plain(sandbox: Sandbox) -> Iterator[Plain]:
    found = Plain(sandbox)
    yield found
    found.close()


@pytest.fixture
def replicate_client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(
        api_token=sandbox.env("REPLICATE_API_TOKEN"),
        base_url=sandbox.env("REPLICATE_BASE_URL"),
        transport=CheckedTransport(),
    )
    yield client
    client._client.close()
