"""What all resources use: reading, writing and naming objects, with their events and books.

Invariant: each function runs in the caller's transaction; a change, its event, its webhook and its
journal entry are written in it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.payments import Payments
from ops.sandbox.stripe.refunds import Refunds
from ops.sandbox.stripe.wire import error, expand, label, no_such
from ops.sandbox.wire import Call, reply

Include = Callable[[Json], Any]
_INLINE = 10
"""So many objects a list inside of another object shows; the list's own URL has the others."""


class Desk:
    """The store of Stripe's objects, and what an id or a field that may be expanded stands for."""

    def __init__(self, payments: Payments, refunds: Refunds) -> None:
        self.payments, self.refunds = payments, refunds
        self.box, self.store = payments.box, payments.store
        self.listeners = payments.account.events.listeners
        self.followers: dict[str, Callable[[Json], None]] = {}
        """Called with each object of a kind that is stored and not deleted."""
        self.prefixes: dict[str, str] = {}
        self.includes: dict[tuple[str, str], Include] = {}

    def find(self, kind: str, object_id: Any) -> Json | None:
        """Return an object that exists, or None; a deleted object does not exist."""
        row = self.store.get(kind, str(object_id))
        return None if row is None or row.body.get("deleted") else row.body

    def need(self, kind: str, object_id: Any, param: str) -> Json:
        """Return the object that a parameter names; raises Stripe's 400 if it does not exist."""
        found = self.find(kind, object_id)
        if found is None:
            raise error(400, f"No such {label(kind)}: '{object_id}'", "resource_missing", param)
        return found

    def own(self, kind: str, object_id: str) -> Json:
        """Return the object that a URL names; raises Stripe's 404 if it does not exist."""
        found = self.find(kind, object_id)
        if found is None:
            raise no_such(kind, object_id, "id")
        return found

    def all(self, kind: str, **wanted: Any) -> list[Json]:
        """Return the objects of a kind that have these values, the newest first."""
        # SQLite compares the texts itself: to decode all objects of a kind takes ten times as long.
        texts = {name: value for name, value in wanted.items() if isinstance(value, str)}
        tests = [f"json_extract(body, '$.{name}') = ?" for name in texts]
        rows = self.store.query(kind, " AND ".join(tests) or "1", tuple(texts.values()))
        return [
            each
            for each in (row.body for row in rows)
            if not each.get("deleted") and all(each.get(k) == v for k, v in wanted.items())
        ]

    def where(self, kind: str, path: str, value: str) -> list[Json]:
        """Return the objects of a kind that have a text at a JSON path, the newest first."""
        rows = self.store.query(kind, "json_extract(body, ?) = ?", (path, value))
        return [row.body for row in rows if not row.body.get("deleted")]

    def put(self, body: Json) -> None:
        """Store an object without an event."""
        self.store.put(body["object"], body["id"], body)
        if body["object"] in self.followers and not body.get("deleted"):
            self.followers[body["object"]](body)

    def save(self, call: Call | None, body: Json, event: str, old: Json | None = None) -> None:
        """Store an object with an event; with `old`, the event names what has changed.

        Nothing is told if nothing has changed.
        """
        self.put(body)
        previous = None if old is None else difference(old, body)
        if previous != {}:
            self.tell(call, event, body, previous)

    def tell(self, call: Call | None, kind: str, body: Json, previous: Json | None = None) -> None:
        """Store an event about an object as it is now, and send it to the webhook endpoint."""
        self.payments.tell(call, kind, shown(copy.deepcopy(body)), previous and shown(previous))

    def note(self, call: Call | None, effect: str, body: Json, **more: Any) -> None:
        """Write a journal entry about an object."""
        details = {"metadata": body.get("metadata") or {}, **more}
        operation, key = (call.operation, call.notes.get("key")) if call else ("clock", None)
        self.store.journal("stripe", operation, effect, body["id"], key, details)

    def fetch(self, object_id: str) -> Json | None:
        """Return the object of any kind that an id names, for the expansion of it."""
        kind = self.prefixes.get(object_id.rpartition("_")[0])
        row = self.store.get(kind, object_id) if kind else None
        for other in () if kind else ("coupon", "product", "price"):
            # The ids of these may be the caller's own words.
            row = row or self.store.get(other, object_id)
        return shown(row.body) if row else None

    def include(self, body: Json, field: str) -> Any:
        """Return a field that is shown on request only; raises KeyError for another."""
        return self.includes[str(body.get("object")), field](body)

    def answer(self, body: Json, params: Json) -> Response:
        """Return the reply with an object, expanded as the parameters say."""
        paths = params.get("expand")
        return reply(expand(shown(body), paths, self.fetch, self.include))

    def now(self, customer: Any = None) -> int:
        """Return the time in Unix seconds: that of the customer's test clock, or the real one."""
        found = self.find("customer", customer) if customer else None
        return self.clock_time(found["test_clock"] if found else None)

    def clock_time(self, clock_id: Any) -> int:
        """Return the time of a test clock, or the real one if there is no such clock."""
        clock = self.find("test_helpers.test_clock", clock_id) if clock_id else None
        return int(clock["frozen_time"]) if clock else self.payments.account.clock.now()

    def body_of(self, response: Response) -> Json:
        """Return the object in a response of another part of the sandbox."""
        found: Json = json.loads(response.get_data())
        return found


def shown(body: Json) -> Json:
    """Return an object without what only the sandbox knows of it and of the objects in it.

    Of a deleted object only its id is shown, except of a discount.
    """
    if body.get("deleted") and body.get("object") != "discount":
        return {name: body[name] for name in ("id", "object", "deleted")}
    return {name: _shown(each) for name, each in body.items() if not name.startswith("sandbox_")}


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("object") == "list" and len(value["data"]) > _INLINE:
        value = value | {"data": value["data"][:_INLINE], "has_more": True}
    return shown(value)


def listing(data: list[Json], url: str) -> Json:
    """Return a whole list, as it stands inside of another object."""
    return {"object": "list", "data": data, "has_more": False, "url": url}


def difference(old: Json, new: Json) -> Json:
    """Return Stripe's `previous_attributes`: the old values of what has changed.

    Of a hash that is no object of its own, only the changed fields are named.
    """
    changed: Json = {}
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict) and "object" not in before:
            changed[name] = difference(before, after)
        else:
            changed[name] = before
    return changed


def filled(body: Json, given: Json) -> Json:
    """Set those given values that are fields of the object; hashes are merged into its hashes."""
    for name, value in given.items():
        if name not in body:
            continue
        if isinstance(value, dict) and isinstance(body.get(name), dict):
            body[name] = _merged(body[name], value)
        else:
            body[name] = None if value == "" else value
    return body


def _merged(old: Json, new: Json) -> Json:
    found = dict(old)
    for name, value in new.items():
        is_hash = isinstance(value, dict) and isinstance(found.get(name), dict)
        found[name] = _merged(found[name], value) if is_hash else None if value == "" else value
    return found
