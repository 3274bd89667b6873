"""One kind of object with Stripe's usual verbs; a subclass says what is special about its kind.

Invariant: parameters are read by the kind's schema before anything is changed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk, filled
from ops.sandbox.stripe.resources.searching import search_page, search_results
from ops.sandbox.stripe.wire import (
    created_between,
    merged_metadata,
    page,
    read_params,
)
from ops.sandbox.wire import Call, Route

Change = Callable[[Call, Json, Json], Json | Response]


class Resource:
    """The endpoints of one kind below one URL."""

    kind: ClassVar[str]
    url: ClassVar[str]
    calls: ClassVar[str]
    """The begin of its names in `parameters.json`."""
    prefix: ClassVar[str]
    event: ClassVar[str]
    """The begin of its events' names; empty if it has none."""
    verbs: ClassVar[tuple[str, ...]] = ("create", "list", "retrieve", "update")
    set_apart: ClassVar[tuple[str, ...]] = ()
    """Parameters that `build` and `change` read by themselves."""
    on_request: ClassVar[tuple[str, ...]] = ()
    """Parameters that are fields which are shown only if they are expanded."""
    keeps_deleted: ClassVar[bool] = False

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        if self.prefix:
            desk.prefixes[self.prefix] = self.kind
        for name in self.on_request:
            desk.includes[self.kind, name] = self._kept(name)

    @property
    def operations(self) -> str:
        """The begin of its operations' names, such as `checkout.sessions`."""
        return self.url.removeprefix("/v1/").replace("/", ".")

    def routes(self) -> Sequence[Route]:
        """Return the endpoints of its verbs."""
        one = f"{self.url}/<id>"
        possible: dict[str, tuple[str, str, Callable[..., Response]]] = {
            "create": ("POST", self.url, self._create),
            "list": ("GET", self.url, self._list),
            "search": ("GET", f"{self.url}/search", self._search),
            "retrieve": ("GET", one, self._retrieve),
            "update": ("POST", one, self.on("update", self.update)),
            "delete": ("DELETE", one, self._delete),
        }
        return [
            (method, path, f"{self.operations}.{verb}", handler)
            for verb, (method, path, handler) in possible.items()
            if verb in self.verbs
        ]

    def action(self, path: str, call_name: str, change: Change, method: str = "POST") -> Route:
        """Return the endpoint of a verb of its own, such as `finalize` of an invoice."""
        handler = self.on(call_name, change)
        url = f"{self.url}/<id>/{path}" if path else f"{self.url}/<id>"
        return method, url, f"{self.operations}.{path or 'cancel'}", handler

    def on(self, call_name: str, change: Change) -> Callable[..., Response]:
        """Return a handler that gives `change` the typed parameters and the object of the URL."""

        def handler(call: Call, id: str) -> Response:
            params = read_params(call.request)
            given = described.read(call, f"{self.calls}_{call_name}", params)
            found = change(call, given, self.desk.own(self.kind, id))
            return found if isinstance(found, Response) else self.desk.answer(found, params)

        return handler

    def _kept(self, name: str) -> Callable[[Json], Any]:
        return lambda body: self.desk.own(self.kind, body["id"]).get(f"sandbox_{name}")

    def build(self, call: Call, given: Json, body: Json) -> None:
        """Complete a new object, in which the parameters are set."""

    def made(self, call: Call, given: Json, body: Json) -> Json | Response:
        """Do what follows the creation of an object; return what is replied."""
        return body

    def change(self, call: Call, given: Json, body: Json) -> None:
        """Complete an update, in which the parameters are set."""

    def may_delete(self, body: Json) -> None:
        """Raise Stripe's error if the object may not be deleted."""

    def may_retrieve(self, given: Json, body: Json) -> None:
        """Raise Stripe's error if the parameters do not allow to read the object."""

    def matches(self, body: Json, name: str, value: Any) -> bool:
        """Whether an object of the list passes a filter."""
        return bool(body.get(name) == value)

    def create(self, call: Call, given: Json) -> Json:
        """Create an object from typed parameters, with its event and journal entry."""
        body = described.new(self.kind, self.prefix)
        if "created" in body:
            body["created"] = self.desk.now()
        self._set(body, given)
        self.build(call, given, body)
        if self.event:
            self.desk.save(call, body, f"{self.event}.created")
        else:
            self.desk.put(body)
        self.desk.note(call, self.operations, body)
        return body

    def update(self, call: Call, given: Json, body: Json) -> Json:
        """Change an object by typed parameters, with its event."""
        old = copy.deepcopy(body)
        self._set(body, given)
        self.change(call, given, body)
        if self.event:
            self.desk.save(call, body, f"{self.event}.updated", old)
        else:
            self.desk.put(body)
        if body != old:
            self.desk.note(call, f"{self.operations}.updated", body)
        return body

    def _set(self, body: Json, given: Json) -> None:
        apart = (*self.set_apart, "metadata", "id")
        filled(body, {name: value for name, value in given.items() if name not in apart})
        body |= {f"sandbox_{name}": given[name] for name in self.on_request if name in given}
        if "metadata" in given and "metadata" in body:
            body["metadata"] = merged_metadata(body["metadata"] or {}, given)

    def _create(self, call: Call) -> Response:
        params = read_params(call.request)
        given = described.read(call, f"{self.calls}_create", params)
        found = self.made(call, given, self.create(call, given))
        return found if isinstance(found, Response) else self.desk.answer(found, params)

    def _retrieve(self, call: Call, id: str) -> Response:
        row = self.desk.store.get(self.kind, id) if self.keeps_deleted else None
        body = row.body if row else self.desk.own(self.kind, id)
        params = read_params(call.request)
        if f"{self.calls}_retrieve" in described.PARAMETERS:
            self.may_retrieve(described.read(call, f"{self.calls}_retrieve", params), body)
        return self.desk.answer(body, params)

    def _delete(self, call: Call, id: str) -> Response:
        body = self.desk.own(self.kind, id)
        if f"{self.calls}_delete" in described.PARAMETERS:
            described.read(call, f"{self.calls}_delete", read_params(call.request))
        self.may_delete(body)
        stub = {"id": id, "object": self.kind, "deleted": True}
        # The object stays in the store: discounts of a deleted coupon go on.
        self.desk.put(stub if self.keeps_deleted else body | {"deleted": True})
        self.desk.tell(call, f"{self.event}.deleted", body)
        self.desk.note(call, f"{self.operations}.deleted", body)
        return self.desk.answer(stub, {})

    def listed(self, given: Json) -> list[Json]:
        """Return the objects that pass all filters, the newest first."""
        names = [name for name in given if name not in {*described.PAGING, "created"}]
        return [
            body
            for body in self.desk.all(self.kind)
            if all(self.matches(body, name, given[name]) for name in names)
        ]

    def _list(self, call: Call) -> Response:
        params = read_params(call.request)
        given = described.read(call, f"{self.calls}_list", params)
        found = created_between(self.listed(given), params)
        return self.desk.answer(page(found, params, self.url), params)

    def _search(self, call: Call) -> Response:
        params = read_params(call.request)
        described.read(call, f"{self.calls}_search", params)
        found = search_results(self.desk.box, self.kind, params)
        return self.desk.answer(search_page(found, params, f"{self.url}/search"), params)
