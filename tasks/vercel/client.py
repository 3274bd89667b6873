"""Typed calls to Vercel's REST API; every failure is raised as one of app.errors.

https://vercel.com/docs/rest-api
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote

from app.errors import Outcome, Permanent, Retryable
from app.outbound import http
from app.outbound.spare import spare
from app.platform import Json
from app.settings import needed
from tasks.vercel import limits
from tasks.vercel.settings import VercelSettings

T = TypeVar("T")

SETTING = "VERCEL_TOKEN"
COPY_MARKS = ("action", "originalDeploymentId")
"""Keys in the `meta` of a deployment that a person made from one of ours (redeploy, promote).

Vercel copies our keys into its `meta` too. But such a deployment belongs to no step, so no step
adopts or deletes it."""

_PAGE = 100
_MAX_PAGES = 20
_MOST_CHARACTERS = 2_000
_UPLOAD_SECONDS = 60.0
_SLOW_SECONDS = 15.0
"""A call that sends something counts as slow after so long."""


class VercelApi:
    """The calls to Vercel that the actions make."""

    def __init__(self, settings: VercelSettings) -> None:
        self._settings = settings
        self._token = needed(settings.token, SETTING)

    def upload(self, data: bytes) -> None:
        """Keep a file under its SHA-1; a second upload changes nothing."""
        headers = {
            "Content-Type": "application/octet-stream",
            "x-vercel-digest": hashlib.sha1(data, usedforsecurity=False).hexdigest(),
        }
        with _passing("bad_request", "invalid_digest", "size_mismatch"):
            self._request("files.upload", "POST", "/v2/files", _any, headers=headers, body=data)

    def create_deployment(self, request: Json) -> Json:
        """Start a deployment of uploaded files: {id, url, status}."""
        with _passing("missing_files"):
            return self._request(
                "deployments.create",
                "POST",
                "/v13/deployments",
                _summary,
                body=json.dumps(request).encode(),
                params={"skipAutoDetectionConfirmation": "1", "forceNew": "1"},
                repeatable=False,
            )

    def deployment(self, deployment: str) -> Json:
        """{id, url, status, error}; raises Permanent `not_found` if there is no such deployment."""
        return self._request("deployments.get", "GET", _path(deployment), _summary)

    def deployments_with(self, reference: str, since: datetime) -> Iterator[Json]:
        """The deployments created since `since` whose `meta` has the `reference`, newest first."""
        params: dict[str, str | int] = {
            "app": self._settings.project,
            "limit": _PAGE,
            "since": int(since.timestamp() * 1000),
            # Vercel's command line sends this for `vercel list --meta`. The code below checks the
            # meta too.
            "meta-reference": reference,
        }
        for _ in range(_MAX_PAGES):
            found, until = self._request(
                "deployments.list",
                "GET",
                "/v6/deployments",
                lambda page: _page(page, reference),
                params=params,
            )
            yield from found
            if until is None:
                return
            params = params | {"until": until}
        raise Retryable(
            "Vercel lists more deployments than are read", code="list_too_long", after=300.0
        )

    def delete_deployment(self, deployment: str) -> bool:
        """Remove a deployment and its page; return False if there is no such deployment."""
        try:
            self._request("deployments.delete", "DELETE", _path(deployment), _any)
        except Permanent as err:
            if err.code == "not_found":
                return False
            raise
        return True

    def probe(self) -> None:
        """Make one cheap authenticated read."""
        self._request("probe", "GET", "/v6/deployments", _any, params={"limit": 1})

    def _request(
        self,
        name: str,
        method: str,
        path: str,
        read: Callable[[Json], T],
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        params: dict[str, str | int] | None = None,
        repeatable: bool = True,
    ) -> T:
        """Make one call; what `read` makes of its answer, a JSON object."""
        team = {"teamId": self._settings.team_id} if self._settings.team_id else {}
        base = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        own = self._settings
        with http.operation(
            "vercel",
            name,
            repeatable=repeatable,
            read_seconds=_UPLOAD_SECONDS,
            slow_seconds=_SLOW_SECONDS if method == "POST" else http.SLOW_SECONDS,
            spare=spare(SETTING, own.token, own.token_old),
            demand=limits.demand(name),
        ):
            reply = http.send(
                method,
                self._settings.base_url + path,
                headers=base | (headers or {}),
                body=body,
                params={**(params or {}), **team},
            )
            if reply.status >= 300:
                raise _refused(reply)
            answer = reply.json() if reply.body else {}
            if not isinstance(answer, dict):
                raise http.unreadable(ValueError("not a JSON object"))
            with http.reading():
                return read(answer)


def api() -> VercelApi:
    """The client with this process's settings. app.outbound owns its connections.

    Raises NotConfigured if the credential is not set.
    """
    return VercelApi(VercelSettings.current())


def probe() -> None:
    """Raise an Outcome if Vercel does not answer or refuses the token."""
    api().probe()


@contextmanager
def _passing(*codes: str) -> Iterator[None]:
    """Within the block, refusals with these codes are Retryable.

    A file was damaged on its way, or Vercel does not have it yet. The next try uploads all files
    again.
    """
    try:
        yield
    except Permanent as err:
        if err.code in codes:
            raise Retryable(err.message, code=err.code) from err
        raise


def _path(deployment: str) -> str:
    return f"/v13/deployments/{quote(deployment, safe='')}"


def _any(seen: Json) -> Json:
    return seen


def _page(page: Json, reference: str) -> tuple[list[Json], int | None]:
    """The deployments of a page whose `meta` has the reference, and where the next page begins."""
    found = [
        _summary(each) | {"meta": http.bounded(each["meta"])}
        for each in page["deployments"]
        if (each.get("meta") or {}).get("reference") == reference
    ]
    until = (page.get("pagination") or {}).get("next")
    return found, None if until is None else int(until)


def _summary(seen: Json) -> Json:
    """The fields of a deployment that the actions need: {id, url, status, error}.

    Vercel names the id and the status `id` and `readyState` in the answers to create and get, but
    `uid` and `state` in a list.
    """
    url, error = seen.get("url"), seen.get("errorMessage") or seen.get("errorCode")
    return {
        "id": http.text_at(seen.get("id") or seen["uid"]),
        "url": http.text_at(url) if url else None,
        "status": http.text_at(seen.get("readyState") or seen.get("state") or "QUEUED"),
        "error": str(error)[:_MOST_CHARACTERS] if error else None,
    }


def _with_retry_after(reply: http.HttpReply) -> dict[str, str]:
    """The reply's headers, with a Retry-After made from `x-ratelimit-reset` if there is none.

    By `x-ratelimit-reset` Vercel says when a limit ends, in Unix seconds.
    """
    headers = dict(reply.headers)
    reset = limits.seconds_to_reset(reply)
    if reset is not None:
        headers.setdefault("retry-after", str(math.ceil(reset)))
    return headers


def _refused(reply: http.HttpReply) -> Outcome:
    """The outcome of an answer that is no success. https://vercel.com/docs/rest-api/errors"""
    answer = reply.json()
    error = answer.get("error") if isinstance(answer, dict) else None
    said: Json = error if isinstance(error, dict) else {}
    code = said.get("code")
    return http.refusal(
        "vercel",
        reply.status,
        str(said.get("message") or "no message"),
        setting=SETTING,
        headers=_with_retry_after(reply),
        code="not_found" if reply.status == 404 else code if isinstance(code, str) else None,
        is_exhausted=reply.status == 402,
    )
