"""How a batch's lines are carried out: by the endpoint of their URL, as if each had been sent.

A line takes nothing of the quotas of requests and tokens: batches have their own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from ops.sandbox.box import token36
from ops.sandbox.faults import OUTCOME
from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import Desk
from ops.sandbox.store import Json
from ops.sandbox.wire import Call, Refusal

_log = logging.getLogger("ops.sandbox")
_AT_ONCE = ("stream", "background")
"""What asks for an answer in another way than a batch gives it."""
Commit = Callable[[], Response]
Prepare = Callable[[Call], Commit]
OPERATION = "batches.line"
"""What faults of the kind `fail` name to let lines fail with a 500."""


class Work:
    """Carries lines out; `endpoints` has the operation and the work of each URL."""

    def __init__(self, desk: Desk, endpoints: Mapping[str, tuple[str, Prepare]]) -> None:
        self._desk, self._endpoints = desk, endpoints

    def prepare(self, url: str, custom_id: str, body: Json) -> Callable[[], tuple[int, Any]]:
        """Do what needs no transaction, and return what gives a line's status and answer; that
        belongs into the transaction that records the line."""
        operation, work = self._endpoints[url]
        text = json.dumps(body)
        request = Request(
            EnvironBuilder(url, method="POST", data=text, content_type="application/json")
            .get_environ()
        )  # fmt: skip
        notes = {"is_batched": True, "request_id": f"req_{token36(32)}"}
        call = Call(operation, request, f"{custom_id}\n{text}", notes)
        return _safely(partial(self._begun, call, work, body))

    def _begun(self, call: Call, work: Prepare, body: Json) -> Commit:
        fault = self._desk.box.faults.take("openai", OPERATION, OUTCOME, call.text)
        if fault is not None:
            raise wire.outage(500, str(fault.parameters.get("error", "")))
        for name in _AT_ONCE:
            if body.get(name):
                raise wire.unsupported(name, f"'{name}' is not supported in batches.")
        return work(call)


def _safely(begin: Callable[[], Commit]) -> Callable[[], tuple[int, Any]]:
    """Begin a line, and return what ends it: a line that cannot be served is answered, too."""
    try:
        commit = begin()
    except Exception as err:  # noqa: BLE001
        return partial(_refused, err)

    def end() -> tuple[int, Any]:
        try:
            response = commit()
        except Exception as err:  # noqa: BLE001
            return _refused(err)
        return response.status_code, json.loads(response.get_data())

    return end


def _refused(err: Exception) -> tuple[int, Any]:
    """Return what a line is answered that was refused; an error of the sandbox itself is an outage,
    as it is for a request."""
    if not isinstance(err, Refusal):
        _log.error("a line of a batch failed", exc_info=err)
    refusal = err if isinstance(err, Refusal) else wire.outage(500)
    return refusal.status, refusal.body


def at_once(handler: Callable[[Call], Response]) -> Prepare:
    """Return the work of a handler that needs no preparation."""
    return lambda call: partial(handler, call)
