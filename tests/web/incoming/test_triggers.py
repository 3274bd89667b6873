"""Triggers over HTTP: created, changed, paused and deleted; and what they make of events."""

from typing import Any

from tests.web.incoming.conftest import Sender, workflows

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"event_type": "a.*.b"}, "/event_type", "a prefix such as"),
    ({"filter": "event.data ="}, "/filter", "Bad jmespath"),
    ({"filter": "data.x"}, "/filter", "there is no 'data' here"),
    ({"filter": "nope(event.data)"}, "/filter", "no function 'nope'"),
    ({"filter": "event.data.a == '" + "é" * 600 + "'"}, "/filter", "at most 1024 bytes"),
    ({"idempotency_key": "@"}, "/idempotency_key", "begin with event"),
    ({"input": {"a": [{"$": "input.x"}]}}, "/input/a/0/$", "there is no 'input' here"),
    ({"input": {"$": 3}}, "/input/$", "a reference is"),
    ({"input": {"a": "x" * 17_000}}, "/input", "larger than 16384 bytes"),
    ({"definition": "unheard_of"}, "/definition", "there is no workflow type"),
    ({"version": 9}, "/version", "has no version 9"),
]


def test_a_trigger_that_cannot_work_is_refused_when_it_is_made(sender: Sender) -> None:
    for fields, pointer, words in WRONG:
        body = {"name": "orders", "event_type": "a", "definition": "ship_order", **fields}
        answer = sender.ask("POST", "/v1/triggers", json=body)
        assert answer.status_code == 422, answer.text
        faults = {each["pointer"]: each["detail"] for each in answer.json()["errors"]}
        assert words in faults[pointer]


def test_a_trigger_is_made_changed_paused_listed_and_deleted(sender: Sender) -> None:
    made = sender.trigger()
    body = {"event_type": "order.*", "definition": "ship_order", "filter": "event.data.order > `5`"}
    path = "/v1/triggers/orders"
    assert sender.ask("POST", "/v1/triggers", json={"name": "orders", **body}).status_code == 409
    sender.send({"id": "1", "data": {"order": 1}})
    changed = sender.ask("PUT", path, json=body).json()
    assert (changed["id"], changed["filter"]) == (made["id"], body["filter"])
    sender.send({"id": "2", "data": {"order": 1}}, {"id": "3"}, {"id": "4", "type": "orders.x"})
    assert sender.counts() == {"matched": 2, "started": 2}
    assert sender.ask("POST", f"{path}/pause").json()["paused_at"] is not None
    sender.send(id="5")
    assert sender.ask("POST", f"{path}/resume").json()["paused_at"] is None
    sender.send(id="6")
    assert sender.counts() == {"matched": 3, "started": 3}
    sender.trigger("another")
    page = sender.ask("GET", "/v1/triggers", params={"limit": 1}).json()
    assert [item["name"] for item in page["items"]] == ["another"]
    rest = sender.ask("GET", "/v1/triggers", params={"after": page["next_after"]}).json()
    assert ([item["name"] for item in rest["items"]], rest["next_after"]) == (["orders"], None)
    assert sender.ask("DELETE", path).status_code == 204
    assert sender.ask("GET", path).status_code == 404
    sender.trigger()
    assert sender.counts() == {}


def test_filters_that_fail_are_counted_and_hold_up_nothing(sender: Sender) -> None:
    sender.trigger("raises", filter="sum(event.data.order) > `1`")
    many = "event.data.items[*].[@, @, @, @][].[@, @, @, @][].[@, @, @, @][]"
    sender.trigger("too_long", filter=f"length({many}) > `0`")
    sender.trigger("refuses", input={"order": {"$": "event.data.text"}})
    sender.trigger("no_object", input={"$": "event.data.text"})
    sender.trigger("no_key", idempotency_key="event.data.none")
    sender.trigger("works")
    data = {"order": 1, "text": "x", "items": list(range(3000))}
    shown = sender.shown(sender.send(id="1", data=data))
    found = {match["trigger"]: match["outcome"] for match in shown["matches"]}
    assert found == {
        "raises": "raised",
        "too_long": "raised",
        "refuses": "refused",
        "no_object": "refused",
        "no_key": "raised",
        "works": "started",
    }
    problem = sender.ask("GET", "/v1/triggers/too_long").json()["last_problem"]
    assert "too much work" in problem["reason"]
    assert (problem["outcome"], problem["event_id"]) == ("raised", shown["id"])
    assert sender.counts("refuses") == {"matched": 1, "refused": 1}
    assert workflows() == 1


def test_events_with_one_key_start_one_workflow(sender: Sender) -> None:
    sender.trigger(idempotency_key="event.data.order")
    receipt = sender.send({"id": "1"}, {"id": "2", "data": {"order": 7, "more": 1}}, {"id": "3"})
    matches = [sender.shown(receipt, number)["matches"][0] for number in range(3)]
    assert [match["outcome"] for match in matches] == ["started", "repeated", "repeated"]
    assert len({match["workflow_id"] for match in matches}) == 1
    assert sender.counts() == {"matched": 3, "started": 1, "repeated": 2}
