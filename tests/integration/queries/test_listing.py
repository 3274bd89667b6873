"""Lists by status: they show what is in that status, and read no more than they show."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from app import db, queries
from app.queries import SHOWN_STATUSES, Filters, human_tasks
from app.queries.lists import page_statement
from chains.commands.command import Caller
from chains.commands.pause import pause, resume
from chains.repair.reconcile import reconcile
from tests.bench.costs import filling
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time, run
from tests.integration.running.test_waits import signal
from tests.unit.definitions import fail, noop

APPROVAL = {"sequence": [{"approval": "review", "timeout": "30d"}, noop("b")]}


def shown(user_id: UUID) -> dict[str, list[UUID]]:
    """The ids of the workflows by shown status, newest first, from the list of all workflows.

    That list computes the status of each workflow, and so it does not rely on any index.
    """
    page = queries.workflow_list(user_id, Filters(), limit=1000)
    return {
        status: [UUID(item["id"]) for item in page.items if item["status"] == status]
        for status in SHOWN_STATUSES
    }


def listed(user_id: UUID, status: str, size: int) -> list[UUID]:
    """The ids of all pages of the list by status."""
    found: list[UUID] = []
    cursor = None
    while True:
        page = queries.workflow_list(user_id, Filters(status), cursor=cursor, limit=size)
        found += [each for _, each in page.places]
        assert all(item["status"] == status for item in page.items)
        if (cursor := page.next_cursor) is None:
            return found


def assert_lists_agree(user_id: UUID) -> dict[str, list[UUID]]:
    """Check that each list by status has the workflows that the list of all shows with it."""
    expected = shown(user_id)
    assert {status: listed(user_id, status, 2) for status in SHOWN_STATUSES} == expected
    return expected


def look(*workflows: UUID) -> None:
    """Make the workflows due, and let the reconciler pass."""
    db.row(
        "UPDATE workflows SET next_wake_at = playalter_now()"
        " WHERE id = ANY (%s) AND completed_at IS NULL",
        (list(workflows),),
    )
    reconcile()


def test_lists_by_status_agree_with_what_is_shown_at_every_point_of_a_wait(
    kernel: Kernel, ada: Caller
) -> None:
    name = kernel.register(APPROVAL)
    sleepers = [kernel.start(name) for _ in range(6)]
    drive()
    fresh = [kernel.start(name) for _ in range(2)]
    assert set(assert_lists_agree(kernel.user_id)["suspended"]) == set(sleepers)
    look(*sleepers)
    assert all(kernel.workflow(each)["is_asleep"] for each in sleepers)
    assert set(assert_lists_agree(kernel.user_id)["running"]) == set(fresh)

    signal(sleepers[0], "review", approved=True)
    pause(ada, sleepers[1], reason="later")
    kernel.cancel(sleepers[2], undo=False)
    found = assert_lists_agree(kernel.user_id)
    assert sleepers[0] in found["running"]
    assert sleepers[1] in found["suspended"]

    claim = kernel.claim(fresh[0], "review")
    assert_lists_agree(kernel.user_id)
    look(*sleepers, *fresh)
    assert_lists_agree(kernel.user_id)
    assert claim.fence is not None
    resume(ada, sleepers[1])
    drive()
    assert sleepers[0] in assert_lists_agree(kernel.user_id)["succeeded"]
    pass_time("31 days")
    assert_lists_agree(kernel.user_id)
    drive()
    assert_lists_agree(kernel.user_id)


def test_lists_by_status_agree_while_one_branch_waits_and_another_works(kernel: Kernel) -> None:
    parts = [{"approval": "review", "timeout": "30d"}, noop("a")]
    workflow = kernel.start(kernel.register({"parallel": "p", "branches": parts}))
    assert assert_lists_agree(kernel.user_id)["running"] == [workflow]
    assert run(workflow, "review", "control.approval")
    look(workflow)
    assert kernel.workflow(workflow)["is_asleep"] is False
    assert assert_lists_agree(kernel.user_id)["running"] == [workflow]
    # The step `a` shall be tried again in an hour. Until then no step can run.
    db.row(
        "UPDATE steps SET status = 'pending', wake_at = playalter_now() + interval '1 hour',"
        " publish_after = clock_timestamp() WHERE workflow_id = %s AND key = 'a'",
        (workflow,),
    )
    look(workflow)
    assert kernel.workflow(workflow)["is_asleep"] is False
    assert assert_lists_agree(kernel.user_id)["suspended"] == [workflow]
    pass_time("2 hours")
    assert assert_lists_agree(kernel.user_id)["running"] == [workflow]


def test_lists_by_status_agree_where_workflows_have_failed_or_need_a_person(
    kernel: Kernel,
) -> None:
    for node in (fail("x"), noop("x"), {"sequence": [noop("a"), fail("x")]}):
        kernel.start(kernel.register(node))
        drive()
    workflow = kernel.start(kernel.register(APPROVAL))
    drive()
    db.row("UPDATE workflows SET attention = 'crashing' WHERE id = %s", (workflow,))
    look(workflow)
    found = assert_lists_agree(kernel.user_id)
    assert found["succeeded"]
    assert found["failed"] or found["compensated"]
    page = queries.workflow_list(kernel.user_id, Filters("suspended", attention=True))
    assert [each for _, each in page.places] == [workflow]
    assert not queries.workflow_list(kernel.user_id, Filters("suspended", attention=False)).items


def test_a_workflow_that_never_waits_is_in_no_index_of_sleepers(kernel: Kernel) -> None:
    workflow = kernel.start(kernel.register({"sequence": [noop("a"), noop("b")]}))
    drive()
    row = kernel.workflow(workflow)
    assert (row["status"], row["is_asleep"]) == ("succeeded", None)


def pages(user_id: UUID, filters: Filters, size: int) -> list[UUID]:
    """The ids of all pages of a list."""
    found: list[UUID] = []
    cursor = None
    while True:
        page = queries.workflow_list(user_id, filters, cursor=cursor, limit=size)
        found += [each for _, each in page.places]
        if (cursor := page.next_cursor) is None:
            return found


def test_a_list_with_children_is_in_the_order_of_the_starts(kernel: Kernel) -> None:
    child = kernel.register({"wait": "w", "for": "1h"})
    branches = [{"workflow": f"c{number}", "type": child} for number in range(6)]
    parent = kernel.start(kernel.register({"parallel": "p", "branches": branches}))
    drive()
    later = kernel.start(kernel.register(noop("n")))
    rows = db.rows("SELECT id, parent_id FROM workflows ORDER BY created_at DESC, id DESC", ())
    started = [row["id"] for row in rows]
    assert len(started) == 8
    assert (started[0], started[-1]) == (later, parent)
    for status in (None, "suspended", "running"):
        shown_with = [item for item in started if status in (None, _status(kernel, item))]
        assert pages(kernel.user_id, Filters(status), 3) == shown_with
    children = [row["id"] for row in rows if row["parent_id"] == parent]
    assert pages(kernel.user_id, Filters(parent_id=parent), 2) == children
    assert pages(kernel.user_id, Filters(is_root=True), 1) == [later, parent]
    assert pages(kernel.user_id, Filters(is_root=False), 4) == children


def _status(kernel: Kernel, workflow: UUID) -> str:
    return str(queries.workflow_detail(workflow, kernel.user_id)["status"])


def test_a_cursor_stays_valid_after_its_workflow_has_ended(kernel: Kernel) -> None:
    name = kernel.register({"wait": "w", "for": "1h"})
    started = [kernel.start(name) for _ in range(4)]
    drive()
    page = queries.workflow_list(kernel.user_id, Filters("suspended"), limit=2)
    assert [each for _, each in page.places] == started[:1:-1]
    kernel.cancel(started[2])
    drive()
    kernel.start(name)
    rest = queries.workflow_list(kernel.user_id, Filters("suspended"), cursor=page.next_cursor)
    assert [each for _, each in rest.places] == started[1::-1]


def test_approvals_and_workflows_that_need_a_person_are_in_the_order_of_the_starts(
    kernel: Kernel,
) -> None:
    child = kernel.register(APPROVAL)
    branches = [{"workflow": f"c{number}", "type": child} for number in range(5)]
    kernel.start(kernel.register({"parallel": "p", "branches": branches}))
    drive()
    db.row("UPDATE workflows SET attention = 'crashing' WHERE parent_id IS NOT NULL", ())
    rows = db.rows(
        "SELECT id FROM workflows WHERE parent_id IS NOT NULL ORDER BY created_at DESC, id DESC", ()
    )
    children = [row["id"] for row in rows]
    first = human_tasks.approvals(kernel.user_id, "ada@example.com", limit=2)
    rest = human_tasks.approvals(kernel.user_id, "ada@example.com", cursor=first.next_cursor)
    assert [item["workflow_id"] for item in (*first.items, *rest.items)] == children
    first = human_tasks.attention(kernel.user_id, limit=2)
    rest = human_tasks.attention(kernel.user_id, cursor=first.next_cursor)
    assert [item["id"] for item in (*first.items, *rest.items)] == children


COPIES = 3000
MOST_BUFFERS = 600


@pytest.fixture
def crowded(kernel: Kernel) -> list[UUID]:
    """Thousands of finished workflows, then thousands that wait; the five that run are the oldest.

    Their ids begin 300 days ago but for those of the originals, which are younger than all.
    """
    running = [kernel.start(kernel.register(noop("n"))) for _ in range(5)]
    for each in running:
        assert kernel.claim(each, "n", 900.0).fence is not None
    done = kernel.start(kernel.register(noop("d")))
    waits = kernel.start(kernel.register(APPROVAL))
    drive()
    look(waits, *running)
    filling.copy_finished([done], COPIES, failing=1000)
    filling.copy_waiting([waits], COPIES)
    db.row("ANALYZE", ())
    return running


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """The statements that the block sends to the database, with their parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        sent.append((statement, parameters))

    event.listen(db.engine(), "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(db.engine(), "before_cursor_execute", note)


def buffers(sent: list[tuple[str, Any]]) -> int:
    """The number of pages that PostgreSQL reads if the queries are executed again."""
    total = 0
    for statement, parameters in sent:
        if re.match(r"\s*(SELECT|WITH)", statement):
            with db.engine().connect() as connection:
                plans = connection.exec_driver_sql(
                    f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
                ).scalar_one()
                plan = plans[0]["Plan"]
                total += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return total


def test_no_list_by_status_reads_the_thousands_that_it_does_not_show(
    kernel: Kernel, crowded: list[UUID]
) -> None:
    read: dict[tuple[str | None, bool], int] = {}
    for status, is_operator in product((None, *SHOWN_STATUSES), (False, True)):
        asked = page_statement(kernel.user_id, Filters(status), is_operator=is_operator)
        read[status, is_operator] = buffers([asked])
        if status == "running":
            page = queries.workflow_list(kernel.user_id, Filters(status), is_operator=is_operator)
            assert {each for _, each in page.places} == set(crowded)
    assert sum(read.values()) > 0
    assert {status: pages for status, pages in read.items() if pages > MOST_BUFFERS} == {}


def test_a_list_of_roots_does_not_read_the_thousands_of_children(
    kernel: Kernel, crowded: list[UUID]
) -> None:
    db.row("UPDATE workflows SET parent_id = %s WHERE id <> ALL (%s)", (crowded[0], crowded))
    db.row("ANALYZE", ())
    page = queries.workflow_list(kernel.user_id, Filters(is_root=True))
    assert {each for _, each in page.places} == set(crowded)
    asked = page_statement(kernel.user_id, Filters(is_root=True))
    assert 0 < buffers([asked]) <= MOST_BUFFERS


def test_counting_what_is_live_does_not_read_what_has_finished(
    kernel: Kernel, crowded: list[UUID]
) -> None:
    with statements() as sent:
        live = queries.live_workflows()
    assert live["running"] == COPIES + 1 + len(crowded)
    finished = db.row("SELECT pg_relation_size('workflows') / 8192 AS pages", ())
    assert finished is not None
    assert buffers(sent) <= finished["pages"]
