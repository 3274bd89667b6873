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
from ops.sandbox.stripe.wire import (
    Fetch,
    created_between,
    expand,
    no_such,
    page,
    parse_form,
    refuse_unknown,
)
from ops.sandbox.wire import Call, Handler, reply

PAGING = ("limit", "starting_after", "ending_before", "created")
Change = Callable[[Call, Json, Json], Response]


class Endpoints:
    """Makes the handlers of a kind's endpoints; each first does what the clock has due.

    `fetch` finds the object of an id.
    """

    def __init__(self, store: Store, fetch: Fetch, clock: Clock) -> None:
        self._store, self._fetch, self._clock = store, fetch, clock

    def params(self, call: Call) -> Json:
        """Return the parameters of the query or of the form."""
        self._clock.catch_up()
        query = call.request.query_string.decode()
        body = call.request.get_data(as_text=True)
        return parse_form(query if call.request.method == "GET" else body)

    def shown(self, response: Response, params: Json) -> Response:
        """Return the response with the objects that `expand` asks for."""
        if "expand" not in params or response.status_code != 200:
            return response
        body = expand(json.loads(response.get_data()), params["expand"], self._fetch)
        return reply(body)

    def lists(
        self, kind: str, url: str, filters: dict[str, str], before: Callable[[Call], None] | None
    ) -> Handler:
        """Return the handler of a list; `filters` maps parameters to the fields that they match."""

        def handler(call: Call) -> Response:
            params = self.params(call)
            refuse_unknown(params, (*PAGING, *filters))
            if before:
                before(call)
            rows = [row.body for row in self._store.query(kind)]
            wanted = {field: params[name] for name, field in filters.items() if name in params}
            rows = [each for each in rows if all(each.get(k) == v for k, v in wanted.items())]
            found = page(created_between(rows, params), params, url)
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

    def changes(self, kind: str, change: Change) -> Handler:
        """Return the handler of an operation on one object."""

        def handler(call: Call, id: str) -> Response:
            params = self.params(call)
            given = {name: value for name, value in params.items() if name != "expand"}
            return self.shown(change(call, self._find(kind, id), given), params)

        return handler

    def creates(self, create: Callable[[Call, Json], Response]) -> Handler:
        """Return the handler of an operation that makes an object."""

        def handler(call: Call) -> Response:
            params = self.params(call)
            given = {name: value for name, value in params.items() if name != "expand"}
            return self.shown(create(call, given), params)

        return handler

    def _find(self, kind: str, object_id: str) -> Json:
        row = self._store.get(kind, object_id)
        if row is None:
            raise no_such(kind, object_id, "id")
        return row.body
