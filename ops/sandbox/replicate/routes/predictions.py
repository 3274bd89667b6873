"""The calls about predictions: by version, by official model and by deployment, lists, streams."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.box import Box
from ops.sandbox.replicate import paging
from ops.sandbox.replicate.delivery import TERMINAL, public
from ops.sandbox.replicate.described import moment
from ops.sandbox.replicate.models import Model
from ops.sandbox.replicate.problems import invalid, not_found, problem, wrong
from ops.sandbox.replicate.registry import Registry
from ops.sandbox.replicate.runs import Runs
from ops.sandbox.store import Json, Row
from ops.sandbox.wire import Call, Refusal, Route, reply

_MOST_WAIT = 60.0
_LEAST_DEADLINE, _MOST_DEADLINE = 5, 10**9
_WEB_SECONDS = 14 * 86_400.0
"""With `source=web` only the predictions of so many seconds are listed."""
_STREAM_SECONDS = 1800.0
_DURATION = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")
# https://replicate.com/changelog/2025-10-16-prediction-deadlines


class Predictions:
    """Creates, lists, shows and cancels predictions."""

    def __init__(self, box: Box, registry: Registry, runs: Runs) -> None:
        self.box, self.registry, self.runs = box, registry, runs

    def routes(self) -> Sequence[Route]:
        """Return the calls."""
        model = "/v1/models/<owner>/<name>/predictions"
        deployment = "/v1/deployments/<owner>/<name>/predictions"
        return [
            ("POST", "/v1/predictions", "predictions.create", self._create),
            ("GET", "/v1/predictions", "predictions.list", self._list),
            ("GET", "/v1/predictions/<id>", "predictions.get", self._get),
            ("POST", "/v1/predictions/<id>/cancel", "predictions.cancel", self._cancel),
            ("POST", model, "models.predictions.create", self._create_official),
            ("POST", deployment, "deployments.predictions.create", self._create_deployed),
            ("GET", "/stream/<stream>", "predictions.stream", self._stream),
        ]

    def _create(self, call: Call) -> Response:
        model = self.registry.named(call.notes["body"]["version"])
        if model is None:
            raise problem(
                422,
                "Invalid version or not permitted",
                "The specified version does not exist (or perhaps you don't have permission to "
                "use it?)",
            )
        return self._predict(call, model)

    def _create_official(self, call: Call, owner: str, name: str) -> Response:
        model = self.registry.official(f"{owner}/{name}")
        if model is None:
            raise not_found()
        return self._predict(call, model)

    def _create_deployed(self, call: Call, owner: str, name: str) -> Response:
        row = self.box.store.get("deployment", f"{owner}/{name}")
        model = self.registry.version(row.body["current_release"]["version"]) if row else None
        if model is None:
            raise not_found()
        return self._predict(call, model, f"{owner}/{name}")

    def _predict(self, call: Call, model: Model, deployment: str | None = None) -> Response:
        body, headers = call.notes["body"], call.request.headers
        fields = model.inputs.faults(body["input"]) + hook_faults(body)
        if fields:
            raise invalid(fields)
        seconds = _wait_seconds(headers.get("Prefer"))
        ends = _deadline_seconds(headers.get("Cancel-After"))
        prediction = self.runs.create(call.operation, model, body, ends, deployment)
        if seconds is None:
            return reply(prediction, 201)
        # It may have been deleted with its version meanwhile.
        prediction = self.runs.wait(prediction["id"], seconds) or prediction
        return reply(prediction, 201 if prediction["status"] in TERMINAL else 202)

    def _get(self, call: Call, id: str) -> Response:
        row = self.box.store.get("prediction", id)
        if row is None:
            raise not_found()
        return reply(public(row.body))

    def _cancel(self, call: Call, id: str) -> Response:
        prediction = self.runs.cancel(call.operation, id)
        if prediction is None:
            raise not_found()
        return reply(prediction)

    def _list(self, call: Call) -> Response:
        arguments, now = call.request.args, time.time()
        lag = self.box.settings.number("replicate.list_lag_seconds")
        tests: list[tuple[str, Any]] = [("created <= ?", now - lag)]
        if after := arguments.get("created_after"):
            tests.append(("created >= ?", moment(after)))
        if before := arguments.get("created_before"):
            tests.append(("created < ?", moment(before)))
        if source := arguments.get("source"):
            tests.append(("json_extract(body, '$.source') = ?", source))
            age = "created + json_extract(body, '$.sandbox.ahead') >= ?"
            tests.append((age, self.box.now() - _WEB_SECONDS))
        page = paging.of_rows(
            call.request,
            f"{self.box.urls['replicate']}/v1/predictions",
            self.box.store,
            "prediction",
            lambda row: public(row.body),
            " AND ".join(test for test, _ in tests),
            [value for _, value in tests],
        )
        return reply(page)

    def _stream(self, call: Call, stream: str) -> Response:
        where = "json_extract(body, '$.sandbox.stream') = ?"
        rows = self.box.store.query("prediction", where, (stream,), 1)
        if not rows:
            raise Refusal(404, {"detail": "Not found"})
        headers = {"Cache-Control": "no-store"}
        return Response(self._events(rows[0]), headers=headers, mimetype="text/event-stream")

    def _events(self, row: Row) -> Iterator[bytes]:
        """The texts as server-sent events, each once it is made, and at last `done`."""
        shown = 0
        while True:
            told = shown

            def is_more(seen: Json, told: int = told) -> bool:
                return len(seen["output"] or []) > told or seen["status"] in TERMINAL

            seen = self.runs.watch(row.id, _STREAM_SECONDS, is_more)
            for text in (seen["output"] or [])[shown:] if seen else []:
                shown += 1
                yield _event("output", text, shown)
            if seen is None or seen["status"] == "succeeded":
                yield _event("done", "{}", shown + 1)
                return
            if seen["status"] in TERMINAL or shown == told:
                yield from _unfinished(seen, shown + 1)
                return


def _unfinished(seen: Json, number: int) -> Iterator[bytes]:
    if seen["status"] == "failed":
        yield _event("error", json.dumps({"detail": seen["error"]}), number)
    reason = "error" if seen["status"] == "failed" else "canceled"
    yield _event("done", json.dumps({"reason": reason}), number + 1)


def _event(kind: str, data: str, number: int) -> bytes:
    lines = [f"event: {kind}", f"id: {number}"]
    lines += [f"data: {line}" for line in data.split("\n")]
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def hook_faults(body: Json) -> list[Json]:
    """Return what is wrong with the webhook of a prediction or a training."""
    hook = body.get("webhook")
    if hook is None or re.match(r"https?://[^\s/]+", hook):
        return []
    return [{"type": "format", "field": "webhook", "description": "Does not match format 'uri'"}]


def _wait_seconds(prefer: str | None) -> float | None:
    """The seconds that `Prefer` asks to wait; None without it."""
    if prefer is None:
        return None
    found = re.fullmatch(r"wait(?:=([1-9][0-9]?))?", prefer.strip())
    if found is None:
        raise wrong("Prefer", "Does not match pattern '^wait(=([1-9]|[1-9][0-9]|60))?$'", "pattern")
    return min(_MOST_WAIT, float(found[1] or _MOST_WAIT))


def _deadline_seconds(given: str | None) -> float | None:
    """The seconds of a `Cancel-After` such as 30s, 5m, 1h30m45s or 30; None without it."""
    if given is None:
        return None
    text = given.strip()
    found = _DURATION.fullmatch(f"{text}s" if re.fullmatch(r"\d+", text, re.ASCII) else text)
    if not text or found is None or not text.isascii():
        raise wrong("Cancel-After", "Must be a duration such as 30s, 5m or 1h30m45s")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    total = min(hours * 3600 + minutes * 60 + seconds, _MOST_DEADLINE)
    if total < _LEAST_DEADLINE:
        raise wrong("Cancel-After", f"Must be at least {_LEAST_DEADLINE} seconds")
    return float(total)
