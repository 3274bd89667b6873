"""How fast events find the steps that wait for them: 10,000 in a minute, among 10,000 waits."""

import time
from typing import Any

import pytest

from app import db
from chains.catalogue import versions
from chains.language.event_filters import key_of
from chains.repair.reconcile import reconcile
from tests.bench.comparing.measure import percentile
from tests.integration.driving import drive
from tests.web.incoming.conftest import Sender
from tests.web.incoming.test_rate import MINUTE, busy, send, shown

__all__ = ["busy"]

_WAITS = """
INSERT INTO event_waits
SELECT (jsonb_populate_record(v, jsonb_build_object(
         'id', uuidv7(), 'workflow_id', c.id, 'external_id', c.external_id, 'event_type', c.type,
         'given', jsonb_build_object('input', jsonb_build_object('n', c.n)), 'key', c.key))).*
  FROM event_waits AS v, copies AS c
"""
_COPIES = (
    (
        "INSERT INTO workflows SELECT (jsonb_populate_record(w, jsonb_build_object('id', c.id,"
        " 'idempotency_key', c.id))).* FROM workflows AS w, copies AS c"
    ),
    (
        "INSERT INTO steps SELECT (jsonb_populate_record(s, jsonb_build_object('workflow_id', c.id,"
        " 'external_id', c.external_id))).* FROM steps AS s, copies AS c"
    ),
    _WAITS,
    "ANALYZE workflows, steps, event_waits",
)


def make_waits(sender: Sender, types: int, each: int, condition: str) -> None:
    """Waits of so many types, so many of each; `input.n` is the number of the wait in its type."""
    event = {"type": "type.0", "filter": condition}
    versions.register({"name": "waits", "do": {"wait": "w", "event": event}}, activates=True)
    body = {"type": "waits", "input": {"n": 0}}
    headers = {"Idempotency-Key": "one"}
    assert sender.ask("POST", "/v1/workflows", json=body, headers=headers).status_code == 201
    drive()
    keys = [key_of(condition, {"input": {"n": number}}) for number in range(1, each + 1)]
    db.row(
        "CREATE TABLE copies AS SELECT id, 'event:' || id || ':0:w' AS external_id,"
        " 'type.' || t AS type, n::integer, key FROM (SELECT uuidv7() AS id, t, n, key"
        " FROM generate_series(1, %s) AS t, unnest(%s::integer[]) WITH ORDINALITY AS k (key, n))"
        " AS made",
        (types, keys),
    )
    for statement in _COPIES:
        db.row(statement, ())


def delays() -> list[float]:
    """Milliseconds from the commit of each event to the wake of its step."""
    rows: list[dict[str, Any]] = db.rows(
        "SELECT extract(epoch FROM v.ended_at - e.received_at)::float8 * 1000 AS ms"
        " FROM event_waits AS v JOIN incoming_events AS e ON e.id = v.event_id ORDER BY 1",
        (),
    )
    return [row["ms"] for row in rows]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_ten_thousand_events_a_minute_find_their_waits_within_a_tenth_of_a_second(
    busy: Sender,
) -> None:
    count, types = 10_000, 50
    make_waits(busy, types, count // types, "event.data.order == input.n")
    began = time.monotonic()
    took = send(busy, range(count), types, count // types, count / MINUTE)
    lasted = time.monotonic() - began
    found = delays()
    print(f"answers ms: {shown([1000 * each for each in took])}; wakes: {shown(found)}")
    assert len(found) == woken(count, types, count // types)  # nothing is left for the reconciler
    assert percentile(tuple(found), 99) < 100
    assert lasted < 1.1 * MINUTE  # the rate was held


def woken(count: int, types: int, each: int) -> int:
    """How many waits the events of `send` end."""
    return len({(number % types, number % each) for number in range(count)})


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_thousand_waits_whose_filters_compare_no_value_lose_no_event(busy: Sender) -> None:
    count, each = 500, 1000
    make_waits(busy, 1, each, "to_string(event.data.order) == to_string(input.n)")
    took = send(busy, range(count), 1, each, 20.0)
    at_once = delays()
    until = time.monotonic() + 60
    while len(delays()) < count and time.monotonic() < until:
        reconcile()
    found = delays()
    print(f"answers ms: {shown([1000 * each for each in took])}; wakes: {shown(found)}")
    print(f"{len(at_once)} of {count} at once: {shown(at_once)}")
    assert len(found) == count
    assert percentile(tuple(found), 99) < 2000


@pytest.mark.long
@pytest.mark.timeout(300)
def test_one_event_wakes_ten_thousand_steps_and_others_do_not_wait_for_it(busy: Sender) -> None:
    count = 10_000
    make_waits(busy, 1, count, "event.data.order == `0` && event.subject != input.n")
    began = time.monotonic()
    busy.send(id="all", type="type.1", data={"order": 0})
    answered = time.monotonic() - began
    busy.trigger(event_type="other")
    began = time.monotonic()
    busy.send(id="other", type="other")
    other = time.monotonic() - began
    until = time.monotonic() + 200
    while len(delays()) < count and time.monotonic() < until:
        reconcile()
    found = delays()
    print(f"answered in {answered:.2f} s, the next in {other:.3f} s; wakes: {shown(found)}")
    assert len(found) == count
    assert answered < 2
    assert other < 1
