"""The names that expressions read, over tries, forks and compensations."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import db
from app.keys import undo_of
from chains.commands.command import Caller
from chains.commands.fork import fork
from chains.language.functions.dates import written
from chains.running.prepare import prepare
from tests.integration.conftest import Kernel
from tests.integration.driving import drive, pass_time
from tests.unit.definitions import fail, noop

pytestmark = pytest.mark.usefixtures("agreeing")

FACTS = {"id": {"$": "workflow.id"}, "user": {"$": "workflow.user"}, "at": {"$": "now"}}


def test_now_is_when_the_step_became_ready_in_every_try(kernel: Kernel) -> None:
    node = {
        "sequence": [
            noop("a"),
            noop("b", **FACTS) | {"when": "date_diff(now, workflow.started_at) < `60`"},
        ]
    }
    workflow = kernel.start(kernel.register(node))
    drive(1)
    claim = kernel.claim(workflow, "b")
    first = prepare(claim).input
    pass_time("1 hour")
    assert prepare(claim).input == first
    assert first == {
        "id": str(workflow),
        "user": str(kernel.user_id),
        "at": written(kernel.step(workflow, "b")["ready_at"]),
    }
    since = datetime.now(UTC) - datetime.fromisoformat(first["at"])
    assert timedelta(0) < since < timedelta(minutes=1), "the real time, in UTC"


def test_a_fork_keeps_the_times_of_what_it_adopts(kernel: Kernel, ada: Caller) -> None:
    name = kernel.register({"sequence": [noop("a", at={"$": "now"}), noop("b", **FACTS)]})
    workflow = kernel.start(name)
    drive()
    pass_time("1 hour")
    forked = fork(ada, workflow, from_step="b").id
    drive()
    assert kernel.step(forked, "a")["ready_at"] == kernel.step(workflow, "a")["ready_at"]
    anew, old = kernel.step(forked, "b")["output"], kernel.step(workflow, "b")["output"]
    assert anew["id"] == str(forked)
    assert anew["at"] > old["at"]


def test_a_compensation_by_another_action_reads_the_same_names(kernel: Kernel) -> None:
    undo: dict[str, Any] = {"action": "control.noop", "with": FACTS}
    node = {"sequence": [{**noop("a"), "compensation": undo}, fail("end")]}
    workflow = kernel.start(kernel.register(node))
    drive()
    row = kernel.step(workflow, undo_of("a"))
    assert row["output"]["id"] == str(workflow)
    assert row["output"]["at"] == written(row["ready_at"])
    assert row["ready_at"] > kernel.step(workflow, "a")["ready_at"]


def test_no_step_that_was_not_released_has_become_ready(kernel: Kernel) -> None:
    kernel.start(kernel.register({"sequence": [noop("a"), noop("b")]}))
    rows = db.rows("SELECT key, ready_at IS NOT NULL AS is_ready FROM steps ORDER BY key", ())
    assert [(row["key"], row["is_ready"]) for row in rows] == [("a", True), ("b", False)]
