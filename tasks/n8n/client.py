"""Typed calls to n8n's webhooks and executions; every failure is raised as one of app.errors.

https://docs.n8n.io/integrations/builtin/core-nodes/n8n-nodes-base.webhook/, https://docs.n8n.io/api/
"""

import json
from urllib.parse import quote

from standardwebhooks import Webhook

from app import clock
from app.errors import Permanent, Retryable
from app.outbound import http
from app.outbound.spare import spare
from app.platform import Json
from app.settings import needed
from tasks.n8n import limits
from tasks.n8n.settings import N8nSettings

SETTING = "N8N_API_KEY"
_SIGNED_WITH = "N8N_WEBHOOK_SECRET"
_THREW = "Error in workflow"
"""The message of n8n's answer 500 if a workflow throws before its webhook is answered."""


class N8nApi:
    """The calls to n8n that the actions make."""

    def __init__(self, settings: N8nSettings) -> None:
        self._settings = settings

    def trigger(self, path: str, body: Json, message_id: str) -> Json:
        """Start the n8n workflow of the webhook at `path`: {execution: its id or None}.

        The request has a Standard Webhooks signature. A repeated call has the same `message_id`, by
        which n8n can recognise it.
        """
        data = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
        # Each sending is signed anew: n8n refuses a time stamp that is minutes in the past or in
        # the future.
        now = clock.now().replace(microsecond=0)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer().sign(message_id, now, data),
        }
        try:
            answer = self._request(
                "webhooks.trigger",
                "POST",
                f"/webhook/{quote(path)}",
                headers,
                data.encode(),
                setting=_SIGNED_WITH,
            )
        except Permanent as err:
            if err.code == "not_found":
                # n8n answers so for some seconds after a workflow was published or n8n was started.
                raise Retryable(err.message, code=err.code) from err
            raise
        return {"execution": _execution_id(answer)}

    def execution_status(self, execution: str) -> str | None:
        """`success`, `error`, `running` and so on; None if n8n does not know the execution."""
        try:
            seen = self._api("executions.get", f"/executions/{quote(execution, safe='')}")
        except Permanent as err:
            if err.code == "not_found":
                return None
            raise
        status = seen.get("status")
        return status if isinstance(status, str) and status else "unknown"

    def probe(self) -> None:
        """Make one cheap authenticated read."""
        self._api("probe", "/executions", {"limit": 1})

    def _signer(self) -> Webhook:
        return Webhook(needed(self._settings.webhook_secret, _SIGNED_WITH))

    def _api(self, name: str, path: str, params: dict[str, str | int] | None = None) -> Json:
        headers = {"X-N8N-API-KEY": needed(self._settings.api_key, SETTING)}
        answer = self._request(name, "GET", f"/api/v1{path}", headers, params=params)
        if not isinstance(answer, dict):
            with http.operation("n8n", name, repeatable=True):
                raise http.unreadable(ValueError("not a JSON object"))
        return answer

    def _request(
        self,
        name: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None = None,
        params: dict[str, str | int] | None = None,
        *,
        setting: str = SETTING,
    ) -> object:
        url = self._settings.base_url + path
        # The n8n workflow has run, however long its answer is. Only an id is read from it.
        own, is_run = self._settings, method == "POST"
        with http.operation(
            "n8n",
            name,
            repeatable=True,
            is_cut=is_run,
            # n8n may answer only when the n8n workflow has ended, which may take long.
            slow_seconds=http.READ_SECONDS if is_run else http.SLOW_SECONDS,
            is_failure=lambda reply: reply.status >= 500 and not (is_run and _has_thrown(reply)),
            spare=spare(SETTING, own.api_key, own.api_key_old),
            demand=limits.demand(name),
        ):
            reply = http.send(method, url, headers=headers, body=body, params=params)
            if is_run and _has_thrown(reply):
                raise _failed()
            if reply.status >= 400:
                raise _refused(reply, setting)
            if reply.status not in (200, 201, 202) or "html" in reply.headers.get(
                "content-type", ""
            ):
                raise _not_from_n8n(reply)
        return reply.json()


def api() -> N8nApi:
    """The client with this process's settings. app.outbound owns its connections."""
    return N8nApi(N8nSettings.current())


def probe() -> None:
    """Raise an Outcome if n8n does not answer or refuses the key."""
    api().probe()


def _execution_id(answer: object) -> str | None:
    # The author of the n8n workflow chooses the reply of its webhook. The default reply has no id.
    found = answer.get("executionId") if isinstance(answer, dict) else None
    return str(found) if isinstance(found, (str, int)) and str(found) else None


def _not_from_n8n(reply: http.HttpReply) -> Retryable:
    """A redirect, an empty 204 or a page is the answer of a proxy or a login, not of n8n."""
    kind = reply.headers.get("content-type", "no content type")
    return Retryable(
        f"N8N_BASE_URL answered {reply.status} with {kind}: this is not n8n's answer; check the"
        " address, and what stands between",
        code="not_from_n8n",
    )


def _said(reply: http.HttpReply) -> object:
    answer = reply.json()
    return answer.get("message") if isinstance(answer, dict) else None


def _has_thrown(reply: http.HttpReply) -> bool:
    return reply.status == 500 and _said(reply) == _THREW


def _failed() -> Permanent:
    """The outcome if the n8n workflow ran and threw: each sending would run it, and throw, again.

    After any other error of n8n it is not known whether the n8n workflow ran.
    """
    return Permanent(f"the n8n workflow failed: {_THREW}", code="n8n_failed")


def _refused(reply: http.HttpReply, setting: str) -> Exception:
    return http.refusal(
        "n8n",
        reply.status,
        str(_said(reply) or "no message"),
        setting=setting,
        headers=reply.headers,
        code="not_found" if reply.status == 404 else None,
    )
