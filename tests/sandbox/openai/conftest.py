"""A client that compares each request and each reply with the types of OpenAI's SDK."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import openai
import pytest

from tests.sandbox.openai.asked import faults_of_request
from tests.sandbox.openai.checked import faults_of_error, faults_of_reply
from tests.sandbox.openai.served import operation_of
from tests.sandbox.running import Sandbox


class _Watched(httpx2.SyncByteStream):
    """The body of a reply, which is passed on as it comes and kept."""

    def __init__(self, inner: httpx2.SyncByteStream, kept: bytearray) -> None:
        self._inner, self._kept = inner, kept

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            self._kept += chunk
            yield chunk

    def close(self) -> None:
        """Close the connection's stream."""
        self._inner.close()


class CheckedTransport(httpx2.HTTPTransport):
    """Sends requests, and keeps what is wrong with them and with their replies."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self._streams: list[tuple[str, bytearray, str]] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and compare it; a stream is compared by `finish`."""
        sent = request.read()
        answer = super().handle_request(request)
        operation = operation_of(request.method, request.url.path)
        kind = answer.headers.get("content-type", "")
        if operation is None:
            return answer
        if answer.status_code < 400:
            query = request.url.query.decode()
            sent_kind = request.headers.get("content-type", "")
            self.faults += faults_of_request(operation, query, sent, sent_kind)
        if kind.startswith("text/event-stream"):
            kept = bytearray()
            self._streams.append((operation, kept, kind))
            assert isinstance(answer.stream, httpx2.SyncByteStream)
            answer.stream = _Watched(answer.stream, kept)
            return answer
        body = answer.read()
        if answer.status_code >= 400:
            self.faults += faults_of_error(body)
        else:
            self.faults += faults_of_reply(operation, body, kind)
        return answer

    def finish(self) -> list[str]:
        """Compare the streams too, and return all that is wrong."""
        for operation, kept, kind in self._streams:
            self.faults += faults_of_reply(operation, bytes(kept), kind)
        return self.faults


@pytest.fixture
def openai_client(sandbox: Sandbox) -> Iterator[openai.OpenAI]:
    transport = CheckedTransport()
    with openai.OpenAI(
        api_key=sandbox.env("OPENAI_API_KEY"),
        base_url=sandbox.env("OPENAI_BASE_URL"),
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    ) as client:
        yield client
    assert transport.finish() == []
