"""A user who sends events to the application behind a real socket."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from app import db
from app.settings import Settings
from chains.catalogue import versions
from tests.web.conftest import Caller

ORDERS: dict[str, Any] = {
    "name": "ship_order",
    "input_schema": {
        "type": "object",
        "required": ["order"],
        "properties": {"order": {"type": "integer"}},
    },
    "do": {"step": "ship", "action": "control.noop", "with": {"order": {"$": "input.order"}}},
}


class Sender:
    """A user of the API at an address."""

    def __init__(self, url: str, caller: Caller, session: requests.Session) -> None:
        self.url, self.caller, self._session = url, caller, session

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request with the user's key."""
        headers = self.caller.headers | options.pop("headers", {})
        return self._session.request(
            method, self.url + path, headers=headers, timeout=20, **options
        )

    def send(self, *events: dict[str, Any], **single: Any) -> Any:
        """The receipt of events, or of one with these fields."""
        body = {"events": [event(**each) for each in events]} if events else event(**single)
        answer = self.ask("POST", "/v1/events", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def trigger(self, name: str = "orders", **fields: Any) -> Any:
        """Create a trigger of `ship_order`."""
        body = {"name": name, "event_type": "order.paid", "definition": "ship_order", **fields}
        answer = self.ask("POST", "/v1/triggers", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def shown(self, receipt: Any, number: int = 0) -> Any:
        """An event of a receipt, with its matches."""
        return self.ask("GET", f"/v1/events/{receipt['items'][number]['event_id']}").json()

    def counts(self, name: str = "orders") -> dict[str, int]:
        """The counts of a trigger that are not 0."""
        found = self.ask("GET", f"/v1/triggers/{name}").json()["counts"]
        return {name: number for name, number in found.items() if number}


def event(id: str = "1", **fields: Any) -> dict[str, Any]:
    """An event of the shop."""
    return {"source": "shop", "id": id, "type": "order.paid", "data": {"order": 7}, **fields}


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A connection that is kept."""
    with requests.Session() as made:
        yield made


@pytest.fixture
def sender(server: str, caller: Caller, session: requests.Session, settings: Settings) -> Sender:
    """A user, with the definition of `ship_order`."""
    versions.register(ORDERS, activates=True)
    return Sender(server, caller, session)


@pytest.fixture
def other(server: str, stranger: Caller, session: requests.Session) -> Sender:
    """Another user."""
    return Sender(server, stranger, session)


def workflows() -> int:
    """How many workflows there are."""
    row = db.row("SELECT count(*) AS number FROM workflows", ())
    assert row is not None
    return int(row["number"])
