"""The items of subscriptions by URLs of their own. https://docs.stripe.com/api/subscription_items"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from werkzeug.wrappers import Response

from ops.sandbox.store import Json
from ops.sandbox.stripe.resources import described
from ops.sandbox.stripe.resources.desk import Desk
from ops.sandbox.stripe.resources.resource import Resource
from ops.sandbox.stripe.subscribing.cycles import ENDED
from ops.sandbox.stripe.subscribing.subscriptions import Subscriptions
from ops.sandbox.stripe.wire import error, no_such, page, read_params
from ops.sandbox.wire import Call, Route

_OF_SUBSCRIPTION = ("payment_behavior", "proration_behavior", "proration_date", "off_session")


class SubscriptionItems(Resource):
    """The items; a change of one is an update of its subscription."""

    kind, url, calls, prefix, event = (
        "subscription_item", "/v1/subscription_items", "subscription_item", "si", "",
    )  # fmt: skip
    verbs = ()

    def __init__(self, desk: Desk, subscriptions: Subscriptions) -> None:
        super().__init__(desk)
        self._subscriptions = subscriptions

    def routes(self) -> Sequence[Route]:
        """Return the endpoints."""
        one, begin = f"{self.url}/<id>", "subscription_items"
        return [
            ("POST", self.url, f"{begin}.create", self._add),
            ("GET", self.url, f"{begin}.list", self._of_subscription),
            ("GET", one, f"{begin}.retrieve", self._one),
            ("POST", one, f"{begin}.update", self._change_one),
            ("DELETE", one, f"{begin}.delete", self._remove),
        ]

    def _add(self, call: Call) -> Response:
        params = read_params(call.request)
        given = described.read(call, "subscription_item_create", params)
        subscription = self.desk.need("subscription", given.pop("subscription"), "subscription")
        earlier = {item["id"] for item in subscription["items"]["data"]}
        made = self._update(call, given, subscription, {})
        found = [item for item in made["items"]["data"] if item["id"] not in earlier]
        return self.desk.answer(found[0], params)

    def _of_subscription(self, call: Call) -> Response:
        params = read_params(call.request)
        given = described.read(call, "subscription_item_list", params)
        subscription = self.desk.need("subscription", given["subscription"], "subscription")
        return self.desk.answer(page(subscription["items"]["data"], params, self.url), params)

    def _one(self, call: Call, id: str) -> Response:
        return self.desk.answer(self._found(id)[1], read_params(call.request))

    def _change_one(self, call: Call, id: str) -> Response:
        params = read_params(call.request)
        given = described.read(call, "subscription_item_update", params)
        self._update(call, given, self._found(id)[0], {"id": id})
        return self.desk.answer(self._found(id)[1], params)

    def _remove(self, call: Call, id: str) -> Response:
        given = described.read(call, "subscription_item_delete", read_params(call.request))
        subscription = self._found(id)[0]
        if len(subscription["items"]["data"]) == 1:
            message = (
                "A subscription must have at least one active plan. If you would like to cancel "
                "the subscription, please use the cancel endpoint."
            )
            raise error(400, message)
        given.pop("clear_usage", None)
        self._update(call, given, subscription, {"id": id, "deleted": True})
        return self.desk.answer({"id": id, "object": self.kind, "deleted": True}, {})

    def _update(self, call: Call, given: Json, subscription: Json, change: Json) -> Json:
        outer = {name: given.pop(name) for name in _OF_SUBSCRIPTION if name in given}
        return self._subscriptions.update(
            call, {**outer, "items": [{**given, **change}]}, subscription
        )

    def _found(self, item_id: str) -> tuple[Json, Json]:
        for subscription in self.desk.all("subscription"):
            for item in subscription["items"]["data"]:
                if item["id"] == item_id and subscription["status"] not in ENDED:
                    return subscription, item
        raise no_such(self.kind, item_id, "id")

    def matches(self, body: Json, name: str, value: Any) -> bool:
        """Items are filtered by their subscription only."""
        return bool(body["subscription"] == value)
