"""Typed calls to Vercel's REST API; every failure leaves as one of app.errors.

https://vercel.com/docs/rest-api
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

from app.errors import Outcome, Permanent, Retryable
from app.outbound import http
from app.platform import Json
from app.settings import needed
from tasks.vercel.settings import VercelSettings

SETTING = "VERCEL_TOKEN"
COPY_MARKS = ("action", "originalDeploymentId")
"""What stands in the meta of a deployment that a person made of one of ours (redeploy, promote):
Vercel copies our own marks into it, and it is not ours to adopt or to take back."""

_PAGE = 100
_MAX_PAGES = 20
_UPLOAD_SECONDS = 60.0


class VercelApi:
    """The calls that the actions make."""

    def __init__(self, settings: VercelSettings) -> None:
        self._settings = settings
        self._token = needed(settings.token, SETTING)

    def upload(self, data: bytes) -> None:
        """Keep a file under its SHA-1; a second upload changes nothing."""
        headers = {
            "Content-Type": "application/octet-stream",
            "x-vercel-digest": hashlib.sha1(data, usedforsecurity=False).hexdigest(),
        }
        self._request("files.upload", "POST", "/v2/files", headers=headers, body=data)

    def create_deployment(self, request: Json) -> Json:
        """Start a deployment of uploaded files: {id, url, status}."""
        made = self._request(
            "deployments.create",
            "POST",
            "/v13/deployments",
            body=json.dumps(request).encode(),
            params={"skipAutoDetectionConfirmation": "1", "forceNew": "1"},
            repeatable=False,
        )
        return _summary(made)

    def deployment(self, deployment: str) -> Json:
        """{id, url, status, error}; Permanent `not_found` when it is not there (any more)."""
        return _summary(self._request("deployments.get", "GET", _path(deployment)))

    def deployments_with(self, reference: str, since: datetime) -> Iterator[Json]:
        """Deployments created since then whose meta carries `reference`, newest first."""
        params: dict[str, str | int] = {
            "app": self._settings.project,
            "limit": _PAGE,
            "since": int(since.timestamp() * 1000),
            # What Vercel's own CLI sends for `vercel list --meta`; the meta is checked below too.
            "meta-reference": reference,
        }
        for _ in range(_MAX_PAGES):
            page = self._request("deployments.list", "GET", "/v6/deployments", params=params)
            for each in page["deployments"]:
                if (each.get("meta") or {}).get("reference") == reference:
                    yield _summary(each) | {"meta": each["meta"]}
            until = (page.get("pagination") or {}).get("next")
            if not until:
                return
            params = params | {"until": until}
        raise Retryable("more deployments than can be read", code="list_too_long", after=300.0)

    def delete_deployment(self, deployment: str) -> bool:
        """Remove a deployment and its page; False when it is not there (any more)."""
        try:
            self._request("deployments.delete", "DELETE", _path(deployment))
        except Permanent as err:
            if err.code == "not_found":
                return False
            raise
        return True

    def probe(self) -> None:
        """One cheap authenticated read."""
        self._request("probe", "GET", "/v6/deployments", params={"limit": 1})

    def _request(
        self,
        name: str,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        params: dict[str, str | int] | None = None,
        repeatable: bool = True,
    ) -> Json:
        team = {"teamId": self._settings.team_id} if self._settings.team_id else {}
        base = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        with http.operation("vercel", name, repeatable=repeatable, read_seconds=_UPLOAD_SECONDS):
            reply = http.send(
                method,
                self._settings.base_url + path,
                headers=base | (headers or {}),
                body=body,
                params={**(params or {}), **team},
            )
            if reply.status >= 400:
                raise _refused(reply)
            answer = reply.json() if reply.body else {}
            if not isinstance(answer, dict):
                raise http.unreadable(ValueError("not a JSON object"))
        return answer


def api() -> VercelApi:
    """The client for this process's settings (it holds no connection: the seam does, per process).

    Raises NotConfigured where the credential is not set.
    """
    return VercelApi(VercelSettings.current())


def probe() -> None:
    """Raise an Outcome when Vercel is away or refuses the token."""
    api().probe()


def _path(deployment: str) -> str:
    return f"/v13/deployments/{quote(deployment, safe='')}"


def _summary(seen: Json) -> Json:
    """The create and get answers say `id` and `readyState`, the list `uid` and `state`."""
    return {
        "id": seen.get("id") or seen["uid"],
        "url": seen.get("url"),
        "status": seen.get("readyState") or seen.get("state") or "QUEUED",
        "error": seen.get("errorMessage") or seen.get("errorCode"),
    }


def _with_retry_after(reply: http.HttpReply) -> dict[str, str]:
    """Vercel says when a limit ends as Unix seconds in a header of its own."""
    headers = dict(reply.headers)
    reset = headers.get("x-ratelimit-reset", "")
    if reset.isdigit():
        headers.setdefault(
            "retry-after", str(max(0, int(reset) - int(http.answered_at(headers).timestamp())))
        )
    return headers


def _refused(reply: http.HttpReply) -> Outcome:
    """https://vercel.com/docs/rest-api/errors"""
    answer = reply.json()
    error = answer.get("error") if isinstance(answer, dict) else None
    said: Json = error if isinstance(error, dict) else {}
    return http.refusal(
        "vercel",
        reply.status,
        str(said.get("message") or "no message"),
        setting=SETTING,
        headers=_with_retry_after(reply),
        code="not_found" if reply.status == 404 else said.get("code"),
    )
