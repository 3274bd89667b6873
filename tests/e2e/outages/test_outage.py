"""A platform that is away for a minute: its circuit opens, others go on, and all ends well."""

import time
from collections.abc import Callable

import pytest

from tests.e2e.definitions import ended, register, started
from tests.e2e.outages.load import OTHER, PAYMENT, coming, rate, slowest
from tests.e2e.stack import Json, Stack, until

BEFORE_SECONDS, OUTAGE_SECONDS, AFTER_SECONDS = 20.0, 60.0, 120.0
OPEN_WITHIN_SECONDS = 5.0
PAUSE_SECONDS = 0.2
LEAST_PART = 0.9


@pytest.mark.long
@pytest.mark.timeout(420)
def test_an_outage_of_a_minute_opens_the_circuit_holds_up_nobody_else_and_ends_by_itself(
    stack: Stack,
) -> None:
    for body in (PAYMENT, OTHER):
        register(stack, body)
    payment, other = PAYMENT["name"], OTHER["name"]
    for name in (payment, other):
        assert ended(stack, started(stack, name, {}))["status"] == "succeeded", stack.dump()
    since = time.time()
    with coming(stack, payment, other, pause=PAUSE_SECONDS) as load:
        time.sleep(BEFORE_SECONDS)
        began = time.time()
        hits = stack.fault("stripe", "*", "status", count=-1, status=503)
        assert load.failures == []
        first = until("the first call that fails", lambda: hits() and time.time(), 10.0, stack.dump)
        opened = until("an open circuit", _opened(stack), 20.0, stack.dump)
        time.sleep(max(0.0, began + OUTAGE_SECONDS - time.time()))
        over = time.time()
        calls = hits()
        stack.control("DELETE", "/faults")
        time.sleep(5.0)
    assert load.failures == []
    ids = load.started[payment]
    until("the end of all payments", lambda: _open(stack, payment) == 0, AFTER_SECONDS, stack.dump)
    recovered = time.time()
    until("the end of all others", lambda: _open(stack, other) == 0, 30.0, stack.dump)

    usual, meanwhile = rate(stack, other, since + 5.0, began), rate(stack, other, first, over)
    held = stack.rows(
        "SELECT count(*) FILTER (WHERE s.tries > 0) AS tried, max(s.tries) AS most"
        " FROM steps s JOIN workflows w ON w.id = s.workflow_id WHERE w.type = %s",
        payment,
    )[0]
    print(
        f"\ncircuit open after {opened - first:.1f} s, {calls} calls in the outage;"
        f" others {usual:.1f}/s before, {meanwhile:.1f}/s in it ({meanwhile / usual:.0%}),"
        f" p95 {slowest(stack, other, since, began):.2f} s and"
        f" {slowest(stack, other, first, over):.2f} s; {len(ids)} payments, the last"
        f" {recovered - over:.1f} s after the end; steps with tries {held}"
    )
    assert opened - first < OPEN_WITHIN_SECONDS
    assert meanwhile >= LEAST_PART * usual
    assert {row["status"] for row in _ends(stack, payment)} == {"succeeded"}
    paid = [each for each in stack.journal() if each["vendor"] == "stripe"]
    for effect in ("authorizations", "captures"):
        made = [
            each["details"]["metadata"]["workflow"] for each in paid if each["effect"] == effect
        ]
        assert sorted(each for each in made if each in set(ids)) == sorted(ids), effect


def _opened(stack: Stack) -> Callable[[], float | None]:
    def look() -> float | None:
        rows = stack.rows(
            "SELECT extract(epoch FROM changed_at) AS at FROM platform_circuits"
            " WHERE platform = 'stripe' AND state = 'open'"
        )
        return float(min(row["at"] for row in rows)) if rows else None

    return look


def _open(stack: Stack, name: str) -> int:
    sql = "SELECT count(*) AS n FROM workflows WHERE type = %s AND completed_at IS NULL"
    return int(stack.rows(sql, name)[0]["n"])


def _ends(stack: Stack, name: str) -> list[Json]:
    return stack.rows("SELECT DISTINCT status FROM workflows WHERE type = %s", name)
