"""Versions of a definition: which one starts, and which may go."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from uuid_utils.compat import uuid7

from app import db
from app.errors import Conflict, InvalidInput, NotFound
from chains import registry
from chains.catalogue import listing, versions
from chains.commands.command import Caller
from chains.commands.fork import fork
from chains.starting.start import start_workflow
from tests.integration.conftest import Kernel, Threads

NAME = "sample"


def body(number: int) -> dict[str, Any]:
    return {"name": NAME, "do": {"step": "a", "action": "control.noop", "with": {"n": number}}}


def register(number: int, **rest: Any) -> int:
    return versions.register(body(number), **rest).version


def active() -> int | None:
    found = registry.active(NAME)
    return None if found is None else found[0]


BEGIN = (
    "SELECT start_workflow_v1(%s, %s, %s, %s, '{}', NULL, NULL, 60, '[]', 15, 5,"
    " NULL, NULL, 0, NULL, NULL)"
)


def begin(kernel: Kernel, version: int) -> UUID:
    """A workflow's row alone."""
    workflow_id: UUID = uuid7()
    db.row(BEGIN, (workflow_id, kernel.user_id, NAME, version))
    return workflow_id


def end(workflow_id: UUID) -> None:
    db.row(
        "UPDATE workflows SET status = 'succeeded', completed_at = now() WHERE id = %s",
        (workflow_id,),
    )


def test_a_changed_body_is_the_next_version_and_starts_nothing_unasked(kernel: Kernel) -> None:
    first = versions.register(body(1))
    assert (first.version, first.is_new, first.is_active) == (1, True, True)
    second = versions.register(body(2))
    assert (second.version, second.is_new, second.is_active) == (2, True, False)
    again = versions.register(body(1))
    assert (again.version, again.is_new, again.is_active) == (1, False, True)
    assert (register(3, activates=True), active()) == (3, 3)
    assert [each["version"] for each in listing.versions(NAME)] == [3, 2, 1]


def test_the_same_body_registered_at_the_same_time_is_one_version(
    kernel: Kernel, in_threads: Threads
) -> None:
    made = in_threads([lambda: register(1)] * 4 + [lambda: register(2)] * 4)
    assert len({*made}) == 2
    assert len(listing.versions(NAME)) == 2


def test_rolling_back_goes_to_what_was_active_before_and_then_one_further(kernel: Kernel) -> None:
    for number in (1, 2, 3):
        register(number, activates=True)
    assert (versions.rollback(NAME).version, active()) == (2, 2)
    assert (versions.rollback(NAME).version, active()) == (1, 1)
    with pytest.raises(Conflict, match="no other version"):
        versions.rollback(NAME)
    versions.activate(NAME, 3)
    assert (versions.rollback(NAME).version, active()) == (1, 1)


def test_rolling_back_passes_over_what_is_retired(kernel: Kernel) -> None:
    for number in (1, 2, 3):
        register(number, activates=True)
    versions.retire(NAME, 2)
    assert versions.rollback(NAME).version == 1


def picked(number: int) -> Counter[int]:
    found = [registry.pick(NAME, uuid7()) for _ in range(number)]
    return Counter(each[0] for each in found if each is not None)


def test_starts_are_spread_by_weight_and_by_nothing_but_the_id(kernel: Kernel) -> None:
    for number in (1, 2, 3):
        register(number)
    versions.spread(NAME, {1: 80, 2: 20})
    shares = picked(1000)
    assert set(shares) == {1, 2}
    assert 140 < shares[2] < 260
    workflow_id = uuid7()
    assert len({str(registry.pick(NAME, workflow_id)) for _ in range(20)}) == 1
    versions.spread(NAME, {3: 1})
    assert set(picked(20)) == {3}
    versions.spread(NAME, {})
    assert set(picked(20)) == {1}


def test_activating_and_rolling_back_end_a_spread(kernel: Kernel) -> None:
    register(1)
    register(2, activates=True)
    versions.spread(NAME, {1: 1, 2: 99})
    versions.rollback(NAME)
    assert set(picked(50)) == {1}
    versions.spread(NAME, {1: 1, 2: 99})
    versions.activate(NAME, 1)
    assert set(picked(50)) == {1}


@pytest.mark.parametrize(
    ("weights", "error", "said"),
    [
        ({7: 1}, InvalidInput, "no such version"),
        ({1: 0}, InvalidInput, "above 0"),
        ({1: -1}, InvalidInput, "between 0"),
        ({2: 1}, Conflict, "retired"),
    ],
)
def test_a_spread_over_what_cannot_start_is_refused(
    kernel: Kernel, weights: dict[int, int], error: type[Exception], said: str
) -> None:
    register(1)
    register(2)
    versions.retire(NAME, 2)
    with pytest.raises(error, match=said):
        versions.spread(NAME, weights)


def test_a_version_is_asked_for_by_number_as_long_as_it_is_not_retired(kernel: Kernel) -> None:
    register(1)
    register(2)
    found = registry.pick(NAME, uuid7(), version=2)
    assert found is not None
    assert found[0] == 2
    versions.retire(NAME, 2)
    assert registry.pick(NAME, uuid7(), version=2) is None
    assert registry.pick("unknown", uuid7()) is None


def test_retiring_waits_until_nothing_runs_on_a_version(kernel: Kernel) -> None:
    register(1)
    register(2)
    workflow_id = begin(kernel, 2)
    with pytest.raises(Conflict, match="1 workflows that have not ended"):
        versions.retire(NAME, 2)
    with pytest.raises(Conflict, match="is active"):
        versions.retire(NAME, 1)
    versions.spread(NAME, {1: 9, 2: 1})
    with pytest.raises(Conflict, match="share of the starts"):
        versions.retire(NAME, 2)
    versions.spread(NAME, {})
    end(workflow_id)
    versions.retire(NAME, 2)
    with pytest.raises(Conflict, match="retired"):
        versions.activate(NAME, 2)
    with pytest.raises(NotFound):
        versions.retire(NAME, 9)


def delete(version: int) -> None:
    try:
        db.row("DELETE FROM definition_activations WHERE version = %s", (version,))
        db.row("DELETE FROM definitions WHERE version = %s", (version,))
    finally:
        db.release()


def retire(version: int) -> None:
    versions.retire(NAME, version)


@pytest.mark.parametrize(
    ("removing", "error", "said"),
    [
        (retire, Conflict, "1 workflows that have not ended"),
        (delete, psycopg2.errors.ForeignKeyViolation, "still needed"),
    ],
)
def test_who_removes_a_version_waits_for_a_start_that_is_not_committed(
    kernel: Kernel, removing: Callable[[int], None], error: type[Exception], said: str
) -> None:
    register(1)
    register(2)
    waits = "SELECT 1 FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
    with contextlib.closing(db.connect()) as connection, ThreadPoolExecutor(1) as beside:
        connection.autocommit = False
        connection.cursor().execute(BEGIN, (uuid7(), kernel.user_id, NAME, 2))
        removed = beside.submit(removing, 2)
        until = time.monotonic() + 10
        while db.row(waits, (connection.info.backend_pid,)) is None:
            assert not removed.done(), "it did not wait for the start"
            assert time.monotonic() < until, "it neither ends nor waits"
            time.sleep(0.01)
        connection.commit()
        with pytest.raises(error, match=said):
            removed.result(10)


def test_a_retired_version_starts_nothing_even_if_it_was_picked_before(kernel: Kernel) -> None:
    register(1)
    register(2)
    versions.retire(NAME, 2)
    with pytest.raises(psycopg2.errors.CheckViolation, match="retired"):
        begin(kernel, 2)
    assert versions.register(body(2)).version == 2, "registering its body brings it back"
    begin(kernel, 2)


def test_a_version_that_does_not_exist_starts_nothing(kernel: Kernel) -> None:
    register(1)
    for version in (2, 0):
        with pytest.raises(psycopg2.errors.CheckViolation, match=f"{version} of .* does not exist"):
            begin(kernel, version)
    for table in ("definition_activations", "definitions"):
        db.row(f"DELETE FROM {table} WHERE name = %s", (NAME,))
    with pytest.raises(psycopg2.errors.CheckViolation, match="does not exist"):
        begin(kernel, 1)


def test_a_version_that_another_definition_asks_for_is_not_retired(kernel: Kernel) -> None:
    register(1)
    register(2)
    parent = {"name": "parent", "do": {"workflow": "c", "type": NAME, "version": 2}}
    versions.register(parent)
    with pytest.raises(Conflict, match="parent version 1 starts version 2 as a child"):
        versions.retire(NAME, 2)


def test_a_child_is_checked_against_the_types_that_there_are(kernel: Kernel) -> None:
    with pytest.raises(InvalidInput, match="did you mean 'noop_chain'"):
        versions.register({"name": "p", "do": {"workflow": "c", "type": "nope_chain"}})
    with pytest.raises(InvalidInput, match="has no version 5"):
        versions.register(
            {"name": "p", "do": {"workflow": "c", "type": "noop_chain", "version": 5}}
        )


def test_a_running_workflow_keeps_its_version(kernel: Kernel) -> None:
    register(1)
    workflow_id = begin(kernel, 1)
    register(2, activates=True)
    assert kernel.workflow(workflow_id)["version"] == 1
    assert registry.definition(NAME, 1).body()["do"]["with"] == {"n": 1}
    facts = {each["version"]: each["running"] for each in listing.versions(NAME)}
    assert facts == {1: 1, 2: 0}


def test_a_fork_of_a_workflow_on_a_retired_version_is_refused_with_the_reason(
    kernel: Kernel,
) -> None:
    register(1)
    workflow_id = start_workflow(user_id=kernel.user_id, type=NAME, input={}).id
    end(workflow_id)
    register(2, activates=True)
    versions.retire(NAME, 1)
    caller = Caller(kernel.user_id, "ada@example.com")
    with pytest.raises(Conflict, match="version 1 is retired"):
        fork(caller, workflow_id, from_step="a")
