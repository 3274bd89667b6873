"""The endpoints for responses. https://platform.openai.com/docs/api-reference/responses"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from werkzeug.wrappers import Response

from ops.sandbox.openai import wire
from ops.sandbox.openai.desk import Desk
from ops.sandbox.openai.files.shelf import Shelf
from ops.sandbox.openai.hooks.events import Hooks
from ops.sandbox.openai.responses import asking, events, shapes
from ops.sandbox.openai.responses.asking import KIND
from ops.sandbox.openai.responses.finishing import Ending, ending
from ops.sandbox.openai.responses.runs import Runs
from ops.sandbox.store import Json, Row
from ops.sandbox.wire import Call, Dropped, Refusal, Route, reply


class Responses:
    """Creates, reads, cancels and deletes responses."""

    def __init__(self, desk: Desk, hooks: Hooks, shelf: Shelf) -> None:
        self._desk, self._shelf = desk, shelf
        self._runs = Runs(desk, hooks)

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        one = "/v1/responses/<id>"
        return [
            ("POST", "/v1/responses", "responses.create", self._create),
            (
                "POST", "/v1/responses/input_tokens", "responses.input_tokens.count", self._count,
            ),
            ("GET", one, "responses.retrieve", self._retrieve),
            ("DELETE", one, "responses.delete", self._delete),
            ("POST", f"{one}/cancel", "responses.cancel", self._cancel),
            ("GET", f"{one}/input_items", "responses.input_items.list", self._input_items),
        ]  # fmt: skip

    def _create(self, call: Call) -> Response:
        given = self._desk.given(call)
        asked = asking.asked(self._desk, self._shelf, given)
        self._desk.admit(call, asked.model, asked.read_tokens + (asked.most_tokens or 0))
        response = shapes.begun(asked, self._desk.tier(given))
        with self._desk.store.transaction():
            end = _at_once(ending(self._desk, call, response, asked))
            self._runs.keep(call, asked, response, end.final)
            details = {"model": asked.model, "prompt": asked.prompt[:2000]}
            self._desk.note(call, "captions", response["id"], details)
        if given.get("stream"):
            is_padded = (given.get("stream_options") or {}).get("include_obfuscation", True)
            return _stream(self._live(response, end, is_padded=is_padded))
        return reply(response if response["background"] else end.final)

    def _live(self, response: Json, end: Ending, *, is_padded: bool) -> Iterator[Json]:
        """The events of a response that is streamed while it is made."""
        if response["background"]:
            found = self._runs.follow(response["id"], -1, is_padded=is_padded)
        else:
            found = iter(events.whole(end.shown or end.final, is_padded=is_padded))
        return _broken(found, end)

    def _count(self, call: Call) -> Response:
        tokens = asking.counted(self._desk, self._shelf, self._desk.given(call))
        return reply({"object": "response.input_tokens", "input_tokens": tokens})

    def _retrieve(self, call: Call, id: str) -> Response:
        given = self._desk.asked(call)
        row = self._found(id)
        if not given.get("stream"):
            if "starting_after" in given:
                message = "'starting_after' is only allowed when 'stream' is enabled."
                raise wire.error(400, message, "starting_after")
            return reply(row.body["response"])
        if not (row.body["response"]["background"] and row.body["is_streamed"]):
            message = (
                f"Response with id '{id}' cannot be streamed: only background responses that were "
                "created with stream=true can."
            )
            raise wire.error(400, message, "stream")
        wire.bounded(given, "starting_after", 0)
        is_padded = given.get("include_obfuscation", True)
        return _stream(self._runs.follow(id, given.get("starting_after", -1), is_padded=is_padded))

    def _delete(self, call: Call, id: str) -> Response:
        self._desk.asked(call)
        with self._desk.store.transaction():
            self._found(id)
            self._desk.store.delete(KIND, id)
            self._desk.note(call, "responses_deleted", id, {})
        return reply({"id": id, "object": "response", "deleted": True})

    def _cancel(self, call: Call, id: str) -> Response:
        self._desk.given(call)
        if not self._found(id).body["response"]["background"]:
            raise wire.error(400, "Cannot cancel a synchronous response.")
        response = self._runs.cancel(call, id)
        if response is None:
            raise _unknown(id)
        return reply(response)

    def _input_items(self, call: Call, id: str) -> Response:
        given = self._desk.asked(call)
        return reply(wire.page(self._found(id).body["input"], given))

    def _found(self, response_id: str) -> Row:
        row = self._desk.store.get(KIND, response_id)
        if row is None:
            raise _unknown(response_id)
        return row


def _unknown(response_id: str) -> Refusal:
    return wire.error(404, f"Response with id '{response_id}' not found.")


def _stream(found: Iterator[Json]) -> Response:
    return Response(events.sent(found), content_type="text/event-stream; charset=utf-8")


def _broken(found: Iterator[Json], end: Ending) -> Iterator[Json]:
    """The events, as far as the planned fault lets them come."""
    if end.breaks_after is None:
        yield from found
        return
    number = 0
    for each in found:
        is_last = end.error is not None and each["type"] in events.ENDS.values()
        if number >= end.breaks_after or is_last:
            break
        number += 1
        yield each
    if end.error is None:
        raise Dropped
    yield events.failing(number, end.error)


def _at_once(end: Ending) -> Ending:
    """The ending with the time of it, if it is not in the background."""
    final = end.final
    if final["background"] or final["status"] != "completed":
        return end
    return replace(end, final={**final, "completed_at": int(time.time())})
