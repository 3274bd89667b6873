"""How fast events are taken and matched: 10,000 in a minute, over 50 types with 20 filters each."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from app import db
from app.settings import Settings
from chains.catalogue import versions
from chains.repair.reconcile import reconcile
from tests.bench.comparing.measure import percentile
from tests.web.conftest import Caller
from tests.web.incoming.conftest import ORDERS, Sender, event

SENDERS = 8
MINUTE = 60.0


@pytest.fixture
def busy(gunicorn: str, caller: Caller, settings: Settings) -> Sender:
    """A user of a web server of its own."""
    versions.register(ORDERS, activates=True)
    return Sender(gunicorn, caller, requests.Session())


def make_triggers(sender: Sender, types: int, each: int) -> None:
    """Triggers of so many types, each with so many filters, of which an event passes one."""
    sender.trigger("pattern", event_type="none", filter="event.data.order == `0`")
    db.row(
        "INSERT INTO event_triggers (organisation_id, project_id, user_id, name, event_type,"
        " filter, definition) SELECT organisation_id, project_id, user_id, t || '-' || f, 'type.'"
        " || t, 'event.data.order == `' || f || '` && event.subject == ''eu''', definition"
        " FROM event_triggers, generate_series(1, %s) AS t, generate_series(1, %s) AS f",
        (types, each),
    )
    db.row("UPDATE event_trigger_revisions SET revision = revision + 1", ())


def send(sender: Sender, numbers: range, types: int, each: int, rate: float) -> list[float]:
    """Send events at a rate over several connections; the seconds that each answer took."""
    began = time.monotonic()

    def one(offset: int) -> list[float]:
        took = []
        with requests.Session() as session:
            own = Sender(sender.url, sender.caller, session)
            for number in numbers[offset::SENDERS]:
                due = began + number / rate
                time.sleep(max(0.0, due - time.monotonic()))
                fields: dict[str, Any] = {"type": f"type.{number % types + 1}", "subject": "eu"}
                body = event(str(number), data={"order": number % each + 1}, **fields)
                answer = own.ask("POST", "/v1/events", json=body)
                assert answer.json()["accepted"] == 1, answer.text
                took.append(time.monotonic() - due)
        return took

    with ThreadPoolExecutor(SENDERS) as pool:
        return sorted(each for found in pool.map(one, range(SENDERS)) for each in found)


def delays() -> list[float]:
    """Milliseconds from the commit of each event to the start of its workflow."""
    rows = db.rows(
        "SELECT extract(epoch FROM w.started_at - e.received_at)::float8 * 1000 AS ms"
        " FROM trigger_matches AS m JOIN incoming_events AS e ON e.id = m.event_id"
        " JOIN workflows AS w ON w.id = m.workflow_id WHERE m.outcome = 'started' ORDER BY 1",
        (),
    )
    return [row["ms"] for row in rows]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_ten_thousand_events_a_minute_are_matched_within_a_tenth_of_a_second(
    busy: Sender,
) -> None:
    count, types, each = 10_000, 50, 20
    make_triggers(busy, types, each)
    began = time.monotonic()
    took = send(busy, range(count), types, each, count / MINUTE)
    lasted = time.monotonic() - began
    found = delays()
    print(f"answers ms: {shown([1000 * seconds for seconds in took])}; starts: {shown(found)}")
    assert len(found) == count  # nothing is left for the reconciler
    assert percentile(tuple(found), 99) < 100
    assert lasted < 1.1 * MINUTE  # the rate was held


@pytest.mark.long
def test_a_thousand_filters_of_one_type_lose_no_event(busy: Sender) -> None:
    count, each = 500, 1000
    make_triggers(busy, 1, each)
    took = send(busy, range(count), 1, each, 20.0)
    for _ in range(10):
        reconcile()
    found = delays()
    print(f"answers ms: {shown([1000 * seconds for seconds in took])}; starts: {shown(found)}")
    assert len(found) == count
    assert percentile(tuple(found), 99) < 1000


def shown(values: list[float]) -> str:
    """The median, the 99th percentile and the greatest of sorted values."""
    return " ".join(f"{percentile(tuple(values), each):.1f}" for each in (50, 99, 100))
