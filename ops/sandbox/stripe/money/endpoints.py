"""What the endpoints of one kind of object share: lists, retrieval, changes and expansion.

https://docs.stripe.com/api/pagination, /api/expanding_objects
"""

from __future__ import annotations

import json
from collections.abc import Callable

from werkzeug.wrappers import Response

from ops.sandbox.store import Json, Store
from ops.sandbox.stripe.events import public
from ops.sandbox.stripe.money.clock import Clock
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.wire import Fetch, between, expand, no_such, page, read_params
from ops.sandbox.wire import Call, Handler, reply

_TIMES = ("created", "arrival_date")
Change = Callable[[Call, Json, Json], Response]


class Endpoints:
    """Makes the handlers of a kind's endpoints; each first does what the clock has due.

    `fetch` finds the object of an id. `name` is the call's in `parameters.json`: by it the
    parameters are checked, however deep, before anything is done; handlers get them as texts.
    """

    def __init__(self, store: Store, fetch: Fetch, clock: Clock) -> None:
        self._store, self._fetch, self._clock = store, fetch, clock

    def params(self, call: Call, name: str | None = None) -> Json:
        """Return the parameters of the URL and of the form, as texts."""
        self._clock.catch_up()
        params = read_params(call.request)
        if name is not None:
            described.read(call, name, params)
        return params

    def shown(self, response: Response, params: Json) -> Response:
        """Return the response with the objects that `expand` asks for."""
        if "expand" not in params or response.status_code != 200:
            return response
        body = expand(json.loads(response.get_data()), params["expand"], self._fetch)
        return reply(body)

    def lists(
        self,
        kind: str,
        url: str,
        name: str,
        before: Callable[[Call], None] | None = None,
        fields: dict[str, str] | None = None,
    ) -> Handler:
        """Return the handler of a list, which has a filter for each parameter of the call.

        `fields` names the field that a parameter is compared with, where it is not of its name.
        """

        def handler(call: Call) -> Response:
            params = self.params(call, name)
            if before:
                before(call)
            apart = {*described.PAGING, *_TIMES, "expand"}
            wanted = {
                (fields or {}).get(each, each): value
                for each, value in params.items()
                if each not in apart
            }
            rows = [row.body for row in self._store.query(kind)]
            rows = [each for each in rows if all(each.get(k) == v for k, v in wanted.items())]
            for time in _TIMES:
                rows = between(rows, params, time)
            found = page(rows, params, url)
            found["data"] = [public(each) for each in found["data"]]
            return self.shown(reply(found), params)

        return handler

    def retrieves(self, kind: str, before: Callable[[Call], None] | None = None) -> Handler:
        """Return the handler that answers one object."""

        def handler(call: Call, id: str) -> Response:
            params = self.params(call)
            if before:
                before(call)
            return self.shown(reply(public(self._find(kind, id))), params)

        return handler

    def changes(self, kind: str, name: str, change: Change) -> Handler:
        """Return the handler of an operation on one object."""

        def handler(call: Call, id: str) -> Response:
            params = self.params(call, name)
            given = {name: value for name, value in params.items() if name != "expand"}
            return self.shown(change(call, self._find(kind, id), given), params)

        return handler

    def creates(self, name: str, create: Callable[[Call, Json], Response]) -> Handler:
        """Return the handler of an operation that makes an object."""

        def handler(call: Call) -> Response:
            params = self.params(call, name)
            given = {name: value for name, value in params.items() if name != "expand"}
            return self.shown(create(call, given), params)

        return handler

    def _find(self, kind: str, object_id: str) -> Json:
        row = self._store.get(kind, object_id)
        if row is None:
            raise no_such(kind, object_id, "id")
        return row.body
