"""Calls of several threads travel in one transaction, and each gets its own answer."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest

from app import db
from app.protocol import intents, outcomes
from app.protocol.claims import Advance, Claim, claim_step
from app.protocol.outcomes import Finish
from tests.integration.conftest import NOTHING, Kernel

OTHERS = 6


@contextlib.contextmanager
def held(workflow: UUID, table: str = "workflows", column: str = "id") -> Iterator[None]:
    """Another transaction has locked the rows of the workflow in a table."""
    with contextlib.closing(db.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT FROM {table} WHERE {column} = %s FOR UPDATE", (workflow,))
        yield
        cursor.execute("COMMIT")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that close their connections in the end."""
    with ThreadPoolExecutor(OTHERS + 2) as threads:
        yield threads


def behind(
    pool: ThreadPoolExecutor, first: Callable[[], Any], *calls: Callable[[], Any]
) -> list[Future[Any]]:
    """Make `calls` while the call `first` is under way and waits for a lock."""
    started = pool.submit(first)
    until_one_waits()
    futures = [pool.submit(call) for call in calls]
    time.sleep(0.2)
    assert not any(each.done() for each in (started, *futures))
    return [started, *futures]


def until_one_waits() -> None:
    """Return when a statement waits for a lock."""
    until = time.monotonic() + 10
    sql = (
        "SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    while not db.rows(sql, ()):
        assert time.monotonic() < until
        time.sleep(0.01)


def claiming(workflow: UUID) -> Callable[[], Any]:
    return lambda: claim_step(workflow, "first", 30.0)


def finishing(claim: Claim) -> Callable[[], Advance]:
    return lambda: outcomes.advance_step(
        claim, NOTHING, {"of": str(claim.workflow_id)}, "second", 30
    )


def transactions(workflows: list[UUID]) -> list[str]:
    """The transaction that wrote each workflow's first step."""
    found = db.rows(
        "SELECT xmin::text AS id FROM steps WHERE workflow_id = ANY(%s) AND key = 'first'",
        (workflows,),
    )
    return [row["id"] for row in found]


def test_what_comes_during_a_call_travels_together(
    kernel: Kernel, pool: ThreadPoolExecutor, agreeing: None
) -> None:
    blocked, *others = [kernel.start("noop_chain") for _ in range(OTHERS + 1)]
    with held(blocked):
        futures = behind(pool, claiming(blocked), *map(claiming, others))
    claims = [each.result(10) for each in futures]
    assert [each.workflow_id for each in claims] == [blocked, *others]
    assert len(set(transactions(others))) == 1
    with held(blocked):
        futures = behind(pool, *map(finishing, claims))
    advances = [each.result(10) for each in futures]
    assert {each.verdict for each in advances} == {"advanced"}
    assert [each.claim.workflow_id for each in advances] == [blocked, *others]
    assert len(set(transactions(others))) == 1
    for workflow in others:
        assert kernel.step(workflow, "first")["output"] == {"of": str(workflow)}


def test_a_locked_workflow_and_a_lost_claim_hold_up_nobody(
    kernel: Kernel, pool: ThreadPoolExecutor, agreeing: None
) -> None:
    blocked, stopping, stolen, *others = [kernel.start("noop_chain") for _ in range(OTHERS)]
    claims = [kernel.claim(each, "first") for each in (blocked, stopping, stolen, *others)]
    db.row("UPDATE steps SET fence = %s WHERE workflow_id = %s", (uuid4(), stolen))
    with held(stopping):
        with held(blocked):
            futures = behind(pool, *map(finishing, claims))
        found = [each.result(10).verdict for each in (futures[0], *futures[2:])]
        assert found == ["advanced", "fenced", *["advanced"] * len(others)]
        assert not futures[1].done()
    assert futures[1].result(10).verdict == "advanced"


def test_a_call_that_fails_is_its_own_callers(
    kernel: Kernel, pool: ThreadPoolExecutor, agreeing: None
) -> None:
    blocked, wrong, *others = [kernel.start("noop_chain") for _ in range(OTHERS)]
    claims = [kernel.claim(each, "first") for each in (blocked, wrong, *others)]

    def ending(claim: Claim) -> Callable[[], Advance]:
        status = "nonsense" if claim.workflow_id == wrong else "succeeded"
        return lambda: outcomes.finish_step(claim, NOTHING, Finish({}, status=status))

    with held(blocked):
        futures = behind(pool, *map(ending, claims))
    with pytest.raises(psycopg2.Error):
        futures[1].result(10)
    assert {each.result(10).verdict for each in (futures[0], *futures[2:])} == {"released"}
    assert kernel.step(wrong, "first")["status"] == "running"


def test_intents_and_their_outcomes_travel_together(
    kernel: Kernel, pool: ThreadPoolExecutor, agreeing: None
) -> None:
    blocked, lost, *others = [kernel.start("noop_chain") for _ in range(OTHERS)]
    claims = [kernel.claim(each, "first") for each in (blocked, lost, *others)]
    db.row("UPDATE steps SET fence = %s WHERE workflow_id = %s", (uuid4(), lost))

    def recording(claim: Claim) -> Callable[[], Any]:
        request = {"of": str(claim.workflow_id)}
        return lambda: intents.record_intent(claim, 0, "sends.create", request, "key")

    def resolving(claim: Claim) -> Callable[[], bool]:
        response = {"for": str(claim.workflow_id)}
        return lambda: intents.resolve_intent(claim, 0, "accepted", response)

    with held(blocked, "steps", "workflow_id"):
        futures = behind(pool, *map(recording, claims))
    first, none, *rest = (each.result(10) for each in futures)
    assert none is None
    for found, claim in zip((first, *rest), (claims[0], *claims[2:]), strict=True):
        assert found.is_new
        assert found.intent.request == {"of": str(claim.workflow_id)}
    with held(blocked, "steps", "workflow_id"):
        futures = behind(pool, *map(resolving, claims))
    assert [each.result(10) for each in futures] == [True, False, *[True] * len(others)]
    for workflow in others:
        (intent,) = intents.intents(workflow, "first")
        assert (intent.resolution, intent.response) == ("accepted", {"for": str(workflow)})
    found = db.rows("SELECT xmin::text AS id FROM intents WHERE workflow_id = ANY(%s)", (others,))
    assert len({row["id"] for row in found}) == 1


def test_nothing_is_lost_when_many_threads_run_many_workflows(
    kernel: Kernel, pool: ThreadPoolExecutor, agreeing: None
) -> None:
    workflows = [kernel.start("noop_chain") for _ in range(24)]
    left, lock = list(workflows), threading.Lock()

    def run() -> None:
        while True:
            with lock:
                if not left:
                    return
                workflow = left.pop()
            found = claim_step(workflow, "first", 30.0)
            for key in ("second", "third"):
                assert isinstance(found, Claim)
                found = outcomes.advance_step(found, NOTHING, {"key": key}, key, 30.0).claim
            assert isinstance(found, Claim)
            done = outcomes.finish_step(found, NOTHING, Finish({}, workflow_output={"all": 1}))
            assert done.verdict == "completed"

    for each in [pool.submit(run) for _ in range(OTHERS)]:
        each.result(60)
    assert {kernel.workflow(each)["status"] for each in workflows} == {"succeeded"}
