"""A client of the HTTP API. Each call has a time-out; failures raise CannotReach or Refused."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import requests

Json = dict[str, Any]

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
STREAM_READ_SECONDS = 30.0
_JSON = {"Content-Type": "application/json"}
TERMINAL = ("succeeded", "failed", "compensated", "cancelled")


class CannotReach(Exception):
    """Raised if no server answers, or if the server cannot work now (503)."""


class Refused(Exception):
    """Raised if the server refuses a request; the message is the problem document as text."""

    def __init__(self, problem: Json) -> None:
        self.problem = problem
        self.status = int(problem.get("status", 0))
        faults = problem.get("errors") or []
        lines = [
            f"  {fault.get('pointer') or fault.get('parameter') or 'the body'}: {fault['detail']}"
            for fault in faults
        ]
        head = f"{problem.get('title', 'Error')} ({self.status})"
        detail = str(problem.get("detail", ""))
        super().__init__("\n".join([head, *lines]) if lines else f"{head}: {detail}")


@dataclass(frozen=True)
class Api:
    """A server's address and the API key to use."""

    url: str
    key: str

    def upload(self, name: str, data: bytes) -> Json:
        """Upload a photograph and return its metadata."""
        return self._json("POST", "/v1/artifacts", files={"file": (name, data)})

    def start(self, type: str, input: Any, idempotency_key: str, **options: Any) -> Json:
        """Start a workflow and return it. Options that are None are left out."""
        headers = {"Idempotency-Key": idempotency_key}
        given = {name: value for name, value in options.items() if value is not None}
        body = {"type": type, "input": input, **given}
        return self._json("POST", "/v1/workflows", json=body, headers=headers)

    def workflow(self, workflow_id: str) -> Json:
        """Get a workflow with its steps."""
        return self._json("GET", f"/v1/workflows/{workflow_id}")

    def workflows(self, **filters: str | int | UUID | None) -> Json:
        """Get one page of workflows."""
        given = {name: value for name, value in filters.items() if value is not None}
        return self._json("GET", "/v1/workflows", params=given)

    def ask(self, method: str, path: str, **options: Any) -> Json:
        """Send a request for `path`, relative to /v1, and return the JSON of the response."""
        return self._json(method, f"/v1/{path}", **options)

    def control(self, workflow_id: str, name: str, body: Json, key: str | None = None) -> Json:
        """Apply a control to a workflow; `key` is the idempotency key, if one is needed."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.ask("POST", f"workflows/{workflow_id}/{name}", json=body, headers=headers)

    def definitions(self) -> Json:
        """List the types of workflow that can be started."""
        return self._json("GET", "/v1/definitions")

    def definition(self, name: str, version: int | None) -> Json:
        """Get a version with its body; the active version if `version` is None."""
        return self._json("GET", _of(name) if version is None else _of(name, version))

    def versions(self, name: str) -> Json:
        """List all versions of a definition."""
        return self._json("GET", f"{_of(name)}/versions")

    def validate(self, data: bytes) -> Json:
        """Check a definition, given as JSON text, and return the steps of its workflows."""
        return self._json("POST", "/v1/definitions/validate", data=data, headers=_JSON)

    def register(self, data: bytes, activates: bool) -> Json:
        """Register a definition, given as JSON text, and return its version."""
        params = {"activate": "true"} if activates else {}
        return self._json("POST", "/v1/definitions", data=data, headers=_JSON, params=params)

    def diff(self, name: str, version: int, other: int) -> Json:
        """Compare two versions."""
        return self._json("GET", f"{_of(name, version)}/diff/{other}")

    def picture(self, name: str, version: int) -> str:
        """Draw a version as SVG."""
        headers = {"Accept": "image/svg+xml"}
        return self._request("GET", f"{_of(name, version)}/picture.svg", headers=headers).text

    def activate(self, name: str, version: int) -> Json:
        """Use a version for all new workflows; returns all versions."""
        return self._json("POST", f"{_of(name, version)}/activate")

    def rollback(self, name: str) -> Json:
        """Activate the previously active version; returns all versions."""
        return self._json("POST", f"{_of(name)}/rollback")

    def spread(self, name: str, weights: dict[str, int]) -> Json:
        """Spread new workflows over versions by weight; returns all versions."""
        return self._json("PUT", f"{_of(name)}/weights", json={"weights": weights})

    def retire(self, name: str, version: int) -> Json:
        """Retire a version, so that no workflow can start with it; returns all versions."""
        return self._json("POST", f"{_of(name, version)}/retire")

    def download(self, address: str) -> bytes:
        """Download an artifact, by its path or by a signed link."""
        return self._request("GET", address, headers={"Accept": "*/*"}).content

    def events(self, workflow_id: str, *, patience_seconds: float = 60.0) -> Iterator[Json]:
        """Yield a workflow's events as they happen, until the workflow has ended.

        Reconnects if the connection breaks. Raises CannotReach if the server cannot be reached for
        `patience_seconds`.
        """
        last = 0
        lost_at: float | None = None
        while True:
            try:
                for event in self._stream(workflow_id, last):
                    last, lost_at = event["seq"], None
                    yield event
                if self.workflow(workflow_id)["status"] in TERMINAL:
                    return
            except CannotReach:
                lost_at = lost_at or time.monotonic()
                if time.monotonic() - lost_at > patience_seconds:
                    raise
            time.sleep(0.5)

    def _stream(self, workflow_id: str, after: int) -> Iterator[Json]:
        headers = {"Accept": "text/event-stream"}
        if after:
            headers["Last-Event-ID"] = str(after)
        path = f"/v1/workflows/{workflow_id}/events"
        read = STREAM_READ_SECONDS  # longer than two heartbeats of the server
        with self._request("GET", path, headers=headers, stream=True, read=read) as answer:
            try:
                for line in answer.iter_lines(decode_unicode=True):
                    if line.startswith("data: "):
                        yield json.loads(line.removeprefix("data: "))
            except requests.RequestException as err:
                raise CannotReach(f"the stream of events broke: {err}") from err

    def _json(self, method: str, path: str, **options: Any) -> Json:
        answer = self._request(method, path, **options)
        if answer.status_code == requests.codes.no_content:
            return {}
        try:
            body: Json = answer.json()
        except ValueError as err:
            raise CannotReach(f"the server at {self.url} is not Playalter") from err
        return body

    def _request(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        read: float = READ_SECONDS,
        **options: Any,
    ) -> requests.Response:
        address = path if urlsplit(path).scheme else self.url.rstrip("/") + path
        sent = {"Authorization": f"Bearer {self.key}", "Accept": "application/json"}
        if not address.startswith(self.url):
            del sent["Authorization"]  # only Playalter's server may see the key
        try:
            answer = requests.request(
                method,
                address,
                headers=sent | (headers or {}),
                timeout=(CONNECT_SECONDS, read),
                **options,
            )
        except requests.RequestException as err:
            raise CannotReach(f"cannot reach {self.url}: {_reason(err)}") from err
        if answer.ok:
            return answer
        with answer:
            raise _failure(self.url, answer)


def _of(name: str, version: int | None = None) -> str:
    path = f"/v1/definitions/{quote(name, safe='')}"
    return path if version is None else f"{path}/versions/{version}"


def _failure(url: str, answer: requests.Response) -> Exception:
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or "title" not in problem:
        return CannotReach(f"{url} answered {answer.status_code}; it is not Playalter's server")
    if answer.status_code == requests.codes.service_unavailable:
        return CannotReach(f"{url} cannot work now: {problem.get('detail')}")
    return Refused(problem)


def _reason(err: requests.RequestException) -> str:
    if isinstance(err, requests.Timeout):
        return "no answer in time"
    cause: BaseException | None = err
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(err, requests.ConnectionError):
        return "no connection"
    return str(err)
