"""Events over HTTP: each is taken once, bad ones hold up no others, and strangers see none."""

from typing import Any

from app import db
from tests.web.incoming.conftest import Sender, event, workflows


def test_of_a_batch_the_good_are_taken_and_the_others_are_told_why(sender: Sender) -> None:
    sender.trigger()
    bad: list[tuple[dict[str, Any], str, str]] = [
        ({"id": ""}, "/id", "is required"),
        ({"type": "-"}, "/type", "must be letters"),
        ({"time": "2027-01-31T09:00:00"}, "/time", "must have an offset"),
        ({"source": "/v1/workflows/x"}, "/source", "are for events of workflows"),
        ({"colour": 1}, "/colour", "is not a known field"),
        ({"data": "\ud800"}, "/data", "half of a surrogate pair"),
        ({"data": {"n": 2**70}}, "/data/n", "too large"),
        ({"data": "x" * 500_000}, "/data", "larger than 500000 bytes"),
        ({"id": "x" * 1001}, "/id", "longer than 1000 bytes"),
    ]
    sent: list[dict[str, Any]] = [
        {"id": "a"},
        *(fields for fields, _, _ in bad),
        {"id": "b"},
        {"id": "a", "data": {}},
    ]
    receipt = sender.send(*sent)
    assert [receipt[name] for name in ("accepted", "duplicate", "refused")] == [2, 1, 9]
    for item, (_, pointer, words) in zip(receipt["items"][1:-2], bad, strict=True):
        assert (item["result"], item["pointer"]) == ("refused", pointer)
        assert words in item["reason"]
    assert receipt["items"][0]["event_id"] == receipt["items"][-1]["event_id"]
    assert workflows() == 2
    assert sender.counts() == {"matched": 2, "started": 2}


def test_a_repeat_says_so_and_matches_nothing_anew(sender: Sender) -> None:
    first = sender.send(id="1")
    sender.trigger()
    again = sender.send(id="1")
    assert [each["items"][0]["result"] for each in (first, again)] == ["accepted", "duplicate"]
    assert sender.shown(again)["matches"] == []
    assert workflows() == 0


def test_an_event_is_shown_with_what_it_started(sender: Sender) -> None:
    sender.trigger(input={"order": {"$": "event.data.number"}}, filter="event.subject == 'eu'")
    given = {"subject": "eu", "time": "2027-01-31T09:00:00+01:00", "data": {"number": 5}}
    shown = sender.shown(sender.send(id="1", **given))
    match = shown.pop("matches")[0]
    assert (match["trigger"], match["outcome"], match["reason"]) == ("orders", "started", None)
    found = sender.ask("GET", f"/v1/workflows/{match['workflow_id']}").json()
    assert (found["type"], found["input"]) == ("ship_order", {"order": 5})
    assert (shown["source_id"], shown["time"]) == ("1", "2027-01-31T08:00:00.000Z")
    assert (shown["data"], shown["depth"]) == ({"number": 5}, 0)


def test_events_are_listed_by_pages_and_filters(sender: Sender) -> None:
    sender.trigger()
    sender.send(*({"id": str(n)} for n in range(3)), {"id": "x", "type": "order.lost"})

    def page(**query: Any) -> Any:
        return sender.ask("GET", "/v1/events", params=query).json()

    first = page(limit=3)
    rest = page(limit=3, cursor=first["next_cursor"])
    ids = [item["source_id"] for item in first["items"] + rest["items"]]
    assert sorted(ids) == ["0", "1", "2", "x"]
    assert rest["next_cursor"] is None
    assert [item["source_id"] for item in page(type="order.lost")["items"]] == ["x"]
    assert len(page(outcome="started")["items"]) == 3
    assert page(source="elsewhere")["items"] == []


def test_a_stranger_sees_and_starts_nothing(sender: Sender, other: Sender) -> None:
    sender.trigger()
    receipt = sender.send(id="1")
    path = f"/v1/events/{receipt['items'][0]['event_id']}"
    assert other.ask("GET", path).status_code == 404
    assert other.ask("GET", "/v1/events").json()["items"] == []
    assert other.ask("GET", "/v1/triggers/orders").status_code == 404
    assert other.ask("DELETE", "/v1/triggers/orders").status_code == 404
    assert other.send(id="1")["accepted"] == 1  # the id is taken by another user only
    assert workflows() == 1


NO_EVENTS = [
    (b'{"source": "s", "id": "1"}', "application/json", 422),
    (b"{", "application/json", 400),
    (b"[]", "application/json", 422),
    (b'{"events": {}}', "application/json", 422),
    (b'{"a": 1, "a": 2}', "application/json", 400),
    (b"x=1", "application/x-www-form-urlencoded", 415),
]


def test_what_is_no_event_is_refused_whole(sender: Sender) -> None:
    for body, kind, status in NO_EVENTS:
        answer = sender.ask("POST", "/v1/events", data=body, headers={"Content-Type": kind})
        assert answer.status_code == status, answer.text
    assert db.row("SELECT 1 FROM incoming_events", ()) is None


def test_too_many_events_are_refused_whole(sender: Sender) -> None:
    body = {"events": [event(str(n)) for n in range(501)]}
    assert sender.ask("POST", "/v1/events", json=body).status_code == 422
    assert sender.send(*({"id": str(n)} for n in range(500)))["accepted"] == 500
