"""Sends the requests of `http.request`; every failure is raised as one of app.errors.

Invariant: what a server answers is bounded, is in no error, and has no secret in it that was sent.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import NotServed, Outcome, Permanent, Unknown
from app.outbound import http
from app.outbound.fetching import fetch, origin
from app.outbound.stated_waits import stated_wait
from app.platform import Json
from app.settings import needed
from tasks.http import answers, limits
from tasks.http.settings import SETTING, HttpSettings

MAX_BYTES = 512 * 1024
"""Of an answer. Its JSON text is at most six times as long, which a step's output may be."""
PAUSE_SECONDS = 10.0
"""The pause after a lookup that says nothing."""
_REPEATABLE = ("read", "repeatable")
_FOR_ANYBODY = ("accept", "accept-language", "user-agent")
"""Headers that another host may see, to which the first one redirects."""


def read(wanted: Json) -> Json:
    """Send a request that changes nothing: {status, headers, json, text}."""
    prepared = _Prepared.of(wanted)
    return _expected(wanted, _send(wanted, prepared), prepared)


def change(wanted: Json, key: str) -> Json:
    """Send a request that has an effect, with its idempotency key if the author names a header."""
    prepared = _Prepared.of(wanted)
    if wanted.get("key") is not None:
        prepared.headers[wanted["key"].get("header", "Idempotency-Key")] = key
    return _expected(wanted, _send(wanted, prepared), prepared)


def look(asked: Json) -> Json:
    """Send a lookup request; its answer may have any status but those that say nothing."""
    prepared = _Prepared.of(asked)
    with _operation(asked, "lookup", repeatable=True):
        reply = fetch(asked["url"], prepared.headers_for, params=_params(asked))
        if reply.status == 429 or reply.status >= 500:
            raise _refused(asked, reply, prepared)
    return answers.shaped(reply, prepared.hidden, ())


def probe() -> None:
    """Check that there are secrets. There is no vendor to be asked.

    A step whose secret is refused marks the platform. This ends the mark, until the next attempt.
    """
    needed(HttpSettings.current().secrets, SETTING)


@dataclass(frozen=True)
class _Prepared:
    """The headers of a request, with the values of its secrets, and its body."""

    url: str
    headers: dict[str, str]
    body: bytes | None
    hidden: tuple[str, ...]
    """The values of the secrets."""

    @classmethod
    def of(cls, wanted: Json) -> "_Prepared":
        url = wanted["url"]
        names: Json = wanted.get("secrets") or {}
        found = {header: HttpSettings.current().secret(name, url) for header, name in names.items()}
        kind, body = _body(wanted)
        plain = wanted.get("headers") or {}
        has_kind = "content-type" in map(str.lower, plain)
        typed = {"Content-Type": kind} if kind and not has_kind else {}
        return cls(url, {**typed, **plain, **found}, body, tuple(found.values()))

    def headers_for(self, url: str) -> Mapping[str, str]:
        """What a redirect's target may see: at another host neither secrets nor the author's own
        headers."""
        if origin(url) == origin(self.url):
            return self.headers
        return {name: v for name, v in self.headers.items() if name.lower() in _FOR_ANYBODY}


def _body(wanted: Json) -> tuple[str, bytes | None]:
    if wanted.get("json") is not None:
        # Sorted: the record does not keep the order, and the same call must be sent verbatim.
        text = json.dumps(wanted["json"], ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return "application/json", text.encode()
    if wanted.get("text") is not None:
        return "text/plain; charset=utf-8", wanted["text"].encode()
    return "", None


def _send(wanted: Json, prepared: _Prepared) -> http.HttpReply:
    method, params = wanted["method"], _params(wanted)
    repeatable = (wanted.get("effect") or "read") in _REPEATABLE
    with _operation(wanted, method, repeatable=repeatable):
        if method in {"GET", "HEAD"} and repeatable:
            reply = fetch(wanted["url"], prepared.headers_for, method=method, params=params)
        else:
            reply = http.send(
                method,
                wanted["url"],
                headers=prepared.headers,
                body=prepared.body,
                params=params,
                is_guarded=True,
            )
        if not _is_expected(wanted, reply.status):
            raise _refused(wanted, reply, prepared)
    return reply


def _operation(wanted: Json, name: str, *, repeatable: bool) -> Any:
    # The host is no secret, but the path may hold one.
    host = origin(wanted["url"])[1][:80]
    return http.operation(
        "http",
        f"{name} {host}",
        repeatable=repeatable,
        max_bytes=MAX_BYTES,
        demand=limits.demand(wanted["url"]),
    )


def _params(wanted: Json) -> dict[str, str | int]:
    given: Json = wanted.get("query") or {}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in given.items()
    }


def _is_expected(wanted: Json, status: int) -> bool:
    expected = wanted.get("expect")
    return 200 <= status < 300 if expected is None else status in expected


def _expected(wanted: Json, reply: http.HttpReply, prepared: _Prepared) -> Json:
    return answers.shaped(reply, prepared.hidden, wanted.get("keep") or ())


def _refused(wanted: Json, reply: http.HttpReply, prepared: _Prepared) -> Outcome:
    """The outcome of an answer with another status than is expected. It quotes no answer."""
    host, status = origin(wanted["url"])[1][:255], reply.status
    if status == 429:
        # How long to wait may stand in the text, which is read but not shown.
        said = answers.text_of(reply)[:2000]
        return NotServed(f"{host} answered 429", after=stated_wait(reply.headers, said))
    if status == 401 and prepared.hidden:
        # The operator's secret is refused, which says nothing about the step.
        names = ", ".join(sorted(wanted["secrets"].values()))
        return NotServed(
            f"{host} answered 401 (check the secret {names} in {SETTING})",
            code="credential_refused",
        )
    if status == 408 or status >= 500:
        return http.refusal(
            host, status, "no status that is expected", setting=SETTING, headers=reply.headers
        )
    if status < 400 and (wanted.get("effect") or "read") not in _REPEATABLE:
        # The server may have done what was asked, and the request may not be sent again unseen.
        return Unknown(
            f"{host} answered {status}, which is no status that is expected; add it to `expect` if"
            " it means that the request was accepted",
            code=f"status_{status}",
        )
    return Permanent(
        f"{host} answered {status}, which is no status that is expected",
        code=f"status_{status}",
        detail={"status": status, "host": host},
    )
