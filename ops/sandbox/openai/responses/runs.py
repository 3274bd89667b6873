"""Responses over time: those that are kept, and those that are made in the background.

Invariant: each change of status is one transaction that first reads the current status. So a
response that is cancelled while it is made stays cancelled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from ops.sandbox.openai.desk import Desk, key_of
from ops.sandbox.openai.hooks.events import Hooks
from ops.sandbox.openai.responses import events
from ops.sandbox.openai.responses.asking import ENDED, KIND, Asked
from ops.sandbox.store import Json, Row
from ops.sandbox.wire import Call

START, FINISH, EXPIRE = "response.start", "response.finish", "response.expire"
KEPT_SECONDS = 600.0
"""How long a response in the background can be read that is not to be stored.
https://developers.openai.com/api/docs/guides/background"""
_FOLLOW_SECONDS = 600.0


class Runs:
    """Keeps responses; makes, cancels and follows those in the background."""

    def __init__(self, desk: Desk, hooks: Hooks) -> None:
        self._desk, self._hooks, self._store = desk, hooks, desk.store
        self._changed = threading.Condition()
        timers = desk.box.timers
        timers.register(START, KIND, self._start)
        timers.register(FINISH, KIND, self._finish)
        timers.register(EXPIRE, KIND, self._expire)
        timers.hold(FINISH, desk.settings.flag("openai.hold"))

    def keep(self, call: Call, asked: Asked, response: Json, final: Json) -> None:
        """Keep a new response; one in the background starts after `openai.queue_seconds`, and is
        billed when it ends.

        Any other is kept as it ends, so that it is whole even if its reply or its stream is lost.
        """
        is_stored = asked.body.get("store") is not False
        row: Json = {
            "response": final,
            "input": asked.items,
            "is_stored": is_stored,
            "is_streamed": bool(asked.body.get("stream")),
        }
        if response["background"]:
            due = time.time() + self._desk.settings.number("openai.queue_seconds")
            row |= {"response": response, "final": final, "key": key_of(call)}
            self._store.put(KIND, response["id"], row, START, due)
            return
        if is_stored:
            self._store.put(KIND, response["id"], row)
        if final["usage"]:
            tier = final["service_tier"]
            self._desk.bill(call, response["id"], asked.model, final["usage"], tier)

    def cancel(self, call: Call, response_id: str) -> Json | None:
        """Cancel a response in the background unless it has ended; return it, or None if it is
        deleted."""
        with self._store.transaction():
            row = self._store.get(KIND, response_id)
            if row is None:
                return None
            response: Json = row.body["response"]
            if response["status"] not in ENDED:
                response = {**response, "status": "cancelled"}
                self._end(row, response)
                self._desk.note(call, "responses_cancelled", response_id, {})
        # Outside of the transaction, because a follower reads the store while it holds this lock.
        self._tell()
        return response

    def follow(self, response_id: str, after: int, *, is_padded: bool) -> Iterator[Json]:
        """Return the events of a response after a number, as they come, until it has ended."""
        deadline, at = time.monotonic() + _FOLLOW_SECONDS, after + 1
        while True:
            with self._changed:
                found, is_over = self._events(response_id, is_padded=is_padded)
                if len(found) <= at and not is_over:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return
                    self._changed.wait(min(left, 1.0))
                    continue
            yield from found[at:]
            at = max(at, len(found))
            if is_over:
                return

    def _events(self, response_id: str, *, is_padded: bool) -> tuple[list[Json], bool]:
        """The events so far, and whether there will be no more."""
        row = self._store.get(KIND, response_id)
        if row is None:
            return [], True
        response = row.body["response"]
        if response["status"] in events.ENDS:
            return events.whole(response, is_padded=is_padded), True
        is_over = response["status"] == "cancelled"
        begun = "queued" if is_over and not row.body.get("started") else response["status"]
        return events.beginning(response, begun), is_over

    def _start(self, response_id: str) -> None:
        with self._store.transaction():
            row = self._store.get(KIND, response_id)
            if row is None or row.body["response"]["status"] != "queued":
                return
            body = row.body
            body |= {"response": {**body["response"], "status": "in_progress"}, "started": True}
            due = time.time() + self._desk.settings.number("openai.background_seconds")
            self._store.put(KIND, response_id, body, FINISH, due)
        self._tell()

    def _finish(self, response_id: str) -> None:
        with self._store.transaction():
            row = self._store.get(KIND, response_id)
            if row is None or row.body["response"]["status"] != "in_progress":
                return
            self._end(row, row.body["final"])
        self._tell()

    def _end(self, row: Row, final: Json) -> None:
        now = time.time()
        if final["status"] == "completed":
            final = {**final, "completed_at": int(now)}
        if final["usage"]:
            tier, key = final["service_tier"], row.body.get("key")
            told = (row.id, final["model"], final["usage"], tier, key)
            self._desk.bill_tokens("responses.create", *told)
        body = row.body | {"response": final, "final": None}
        if body["is_stored"]:
            self._store.put(KIND, row.id, body)
        else:
            self._store.put(KIND, row.id, body, EXPIRE, now + KEPT_SECONDS)
        self._hooks.send(f"response.{final['status']}", row.id)

    def _expire(self, response_id: str) -> None:
        self._store.delete(KIND, response_id)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
