"""A hundred thousand wait in ten thousand lanes: what an admission costs then."""

import statistics
import time
from uuid import UUID

import pytest

from app import db
from chains import registry
from chains.flow.stored import flow_of
from chains.starting.beginning import begin_all
from tests.integration.conftest import Kernel, Threads
from tests.integration.flow.samples import controlled, count, end
from tests.integration.queries.test_queues import pages_of

LANES = 10_000
EACH = 10
BATCH = 20
"""So many starts are admitted by one call."""
SECONDS = 10.0
_ACCEPT = (
    "SELECT count(defer_workflow_v1(uuidv7(), %s, %s, 1, jsonb_build_object('user', n::text), NULL,"
    " NULL, 5, NULL, NULL, NULL, NULL, NULL,"
    " jsonb_set(jsonb_set(%s::jsonb, '{share}', to_jsonb(n::text)),"
    " '{limits,0,key}', to_jsonb('input.user=' || n))))"
    " FROM generate_series(%s, %s) AS n, generate_series(1, %s)"
)


@pytest.mark.long
def test_a_thousand_are_admitted_in_a_second_while_a_hundred_thousand_wait(
    kernel: Kernel, in_threads: Threads
) -> None:
    name = controlled(
        kernel,
        concurrency=[{"limit": 2, "key": "input.user"}, {"limit": 500}],
        share={"key": "input.user"},
    )
    definition = registry.definition(name, 1)
    flow = flow_of(definition, {"user": "x"})
    began = time.monotonic()

    def accept(first: int) -> None:
        for low in range(first, first + LANES // 2, 500):
            given = (kernel.user_id, name, flow, low, low + 499, EACH)
            db.row(_ACCEPT, given)

    in_threads([lambda: accept(1), lambda: accept(LANES // 2 + 1)])
    print(f"{count('flow_entries')} accepted in {time.monotonic() - began:.1f} s")
    assert (count("flow_entries"), count("flow_lanes")) == (LANES * EACH, LANES)
    # As autovacuum has done it by the time that so many wait.
    for table in ("flow_entries", "flow_lanes", "flow_limits", "flow_turns", "workflows"):
        db.row(f"ANALYZE {table}", ())

    for is_begun in (False, True):
        rate, calls, looks = _measured(is_begun=is_begun)
        cuts = statistics.quantiles(calls, n=100)
        print(
            f"{'admitted and begun' if is_begun else 'admitted'}: {rate:.0f}/s, {len(calls)} calls"
            f" of at most {BATCH}: p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms;"
            f" a look: p99 {statistics.quantiles(looks, n=100)[98] * 1000:.1f} ms"
        )
        if not is_begun:
            assert rate >= 1000
            assert cuts[98] < 0.020


def _measured(*, is_begun: bool) -> tuple[float, list[float], list[float]]:
    """How many starts are admitted in a second, and how long each call and each look takes."""
    calls: list[float] = []
    looks: list[float] = []
    admitted: list[UUID] = []
    total, spent = 0, 0.0
    while spent < SECONDS and total < LANES * EACH / 3:
        began = time.perf_counter()
        (row,) = db.rows("SELECT pools FROM flow_pools_v1(100)", ())
        (pool,) = row["pools"]
        looked = time.perf_counter()
        (made,) = db.rows("SELECT * FROM admit_starts_v1(%s, %s)", (pool, BATCH))
        called = time.perf_counter()
        if is_begun:
            begin_all(made["workflow_ids"])
        spent += time.perf_counter() - began
        looks.append(looked - began)
        calls.append(called - looked)
        total += len(made["workflow_ids"])
        admitted += made["workflow_ids"]
        if len(admitted) > 400:
            end(admitted)  # other processes do this, in their own time
            admitted = []
    end(admitted)
    return total / spent, calls, looks


def test_a_look_when_nothing_waits_costs_the_same_however_much_has_waited(kernel: Kernel) -> None:
    before = _pages_of_a_look()
    db.row(
        "INSERT INTO flow_lanes (pool_id, tag, weight, is_open, identity, definition, share_key,"
        " limits, mosts, intervals) SELECT 1, n, 1, false, sha256(n::text::bytea), 'd', n::text,"
        " ARRAY[n], ARRAY[1], ARRAY[NULL::float8] FROM generate_series(1, 5000) AS n",
        (),
    )
    db.row(
        "INSERT INTO flow_limits (scope, owner, name, key)"
        " SELECT 'definition', uuidv7(), 'd', n::text FROM generate_series(1, 5000) AS n",
        (),
    )
    assert before < 50
    assert _pages_of_a_look() <= before + 4


def _pages_of_a_look() -> int:
    with db.engine().connect() as connection:
        for _ in range(7):  # a function that is new to its session also reads the catalog
            pages = pages_of(connection, "SELECT * FROM flow_pools_v1(%s)", (100,))
    return pages
