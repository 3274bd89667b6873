"""Forks: what is taken over, what it still belongs to, and where none may begin."""

import contextlib
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from app import db
from app.errors import Conflict, InvalidInput
from chains import registry
from chains.commands.cancel import cancel
from chains.commands.command import Caller
from chains.commands.fork import fork
from chains.plans import boundaries
from tests.integration.conftest import Kernel, Threads
from tests.integration.driving import drive, pass_time
from tests.unit.definitions import noop

UNDONE = {"compensation": {"action": "control.noop"}}
NESTED = {
    "sequence": [
        noop("a", v={"$": "input.n"}),
        {
            "map": "m",
            "over": {"$": "input.l"},
            "do": {"sequence": [noop("r", x={"$": "item"}), noop("s")]},
        },
        {"sequence": [noop("p"), noop("q")]},
        {"loop": "l", "max": 3, "until": "index == `1`", "do": noop("turn")},
        {"choice": "c", "cases": [{"when": "input.n == `1`", "do": noop("one")}]},
        noop("z", all={"$": "steps.m.output"}, v={"$": "steps.a.output.v"}),
    ]
}


def rows(workflow: UUID) -> dict[str, dict[str, Any]]:
    found = db.rows("SELECT * FROM steps WHERE workflow_id = %s", (workflow,))
    return {row["key"]: row for row in found}


def test_boundaries_are_the_children_of_the_root_sequence(kernel: Kernel) -> None:
    name = kernel.register(NESTED)
    found = boundaries.boundaries(registry.definition(name, 1).do, registry.plan(name, 1))
    assert [(child.name, child.heads) for child in found.children] == [
        ("a", ("a",)),
        ("m", ("m~expand",)),
        ("p", ("p",)),
        ("l", ("l~expand",)),
        ("c", ("c~choose",)),
        ("z", ("z",)),
    ]
    holder = found.holder("m[3].s")
    assert holder is not None
    assert holder.name == "m"
    assert found.holder("q") == found.children[2]


@pytest.mark.parametrize("from_step", ["a", "m", "p", "l", "c", "z"])
def test_a_fork_runs_what_its_boundary_begins_and_comes_to_the_same_end(
    kernel: Kernel, ada: Caller, from_step: str
) -> None:
    name = kernel.register(NESTED, output={"z": {"$": "steps.z.output"}})
    source = kernel.start(name, {"n": 1, "l": [1, 2, 3]})
    every = drive()
    forked = fork(ada, source, from_step=from_step).id
    before = rows(forked)
    adopted = {key for key, row in before.items() if row["adopted_from"]}
    assert {before[key]["adopted_from"] for key in adopted} <= {source}
    ran = drive()
    assert sorted(ran) == sorted(set(every) - adopted)
    assert kernel.workflow(forked)["output"] == kernel.workflow(source)["output"]
    assert kernel.workflow(forked)["forked_from"] == source
    assert set(rows(forked)) == set(rows(source))
    told = [e["step"] for e in kernel.events(forked) if e["type"] == "StepAdopted"]
    assert sorted(told) == sorted(adopted)


def test_a_fork_may_begin_while_the_original_waits(kernel: Kernel, ada: Caller) -> None:
    node = {"sequence": [noop("a"), {"wait": "w", "for": "1d"}, noop("z")]}
    source = kernel.start(kernel.register(node))
    drive()
    assert fork(ada, source, from_step="w").created
    with pytest.raises(Conflict, match="'w' has not ended"):
        fork(ada, source, from_step="z")
    event = kernel.events(source)[-1]
    assert (event["type"], event["data"]["from_step"]) == ("WorkflowForked", "w")


def test_a_fork_takes_another_input_which_is_checked(kernel: Kernel, ada: Caller) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    node = {"sequence": [noop("a"), noop("z", n={"$": "input.n"})]}
    source = kernel.start(kernel.register(node, input_schema=schema), {"n": 1})
    drive()
    with pytest.raises(InvalidInput):
        fork(ada, source, from_step="z", input={"n": "one"})
    forked = fork(ada, source, from_step="z", input={"n": 2}).id
    drive()
    assert rows(forked)["z"]["output"] == {"n": 2}


@pytest.mark.parametrize(
    ("from_step", "said"),
    [("r", "no step 'r'"), ("m[0].r", "part of 'm'"), ("q", "part of 'p'"), ("x", "no step")],
)
def test_a_fork_begins_at_a_boundary_only(
    kernel: Kernel, ada: Caller, from_step: str, said: str
) -> None:
    source = kernel.start(kernel.register(NESTED), {"n": 1, "l": [1]})
    drive()
    with pytest.raises(InvalidInput, match=said):
        fork(ada, source, from_step=from_step)


def test_the_same_request_makes_one_fork(kernel: Kernel, ada: Caller) -> None:
    source = kernel.start("noop_chain")
    drive()
    first = fork(ada, source, from_step="second", idempotency_key="k")
    again = fork(ada, source, from_step="second", idempotency_key="k")
    assert (first.created, again.created, first.id) == (True, False, again.id)
    with pytest.raises(Conflict, match="another body"):
        fork(ada, source, from_step="third", idempotency_key="k")
    assert fork(ada, source, from_step="third", is_dry=True).id != first.id
    (count,) = db.rows("SELECT count(*) AS n FROM workflows", ())
    assert count["n"] == 2


def living(kernel: Kernel, ada: Caller) -> tuple[UUID, UUID]:
    """A workflow and its fork, both waiting, `a` taken over."""
    node = {"sequence": [{**noop("a"), **UNDONE}, {"wait": "w", "for": "1d"}]}
    source = kernel.start(kernel.register(node))
    drive()
    forked = fork(ada, source, from_step="w").id
    drive()
    return source, forked


def test_a_fork_never_undoes_what_it_took_over(kernel: Kernel, ada: Caller) -> None:
    _, forked = living(kernel, ada)
    assert cancel(ada, forked).result == "cancelled"
    assert "a~undo" not in rows(forked)


def test_the_original_is_not_undone_while_a_fork_lives_on_it(kernel: Kernel, ada: Caller) -> None:
    source, forked = living(kernel, ada)
    grandchild = fork(ada, forked, from_step="w").id
    drive()
    assert rows(grandchild)["a"]["adopted_from"] == source
    cancel(ada, forked)
    with pytest.raises(Conflict, match=str(grandchild)):
        cancel(ada, source)
    cancel(ada, grandchild)
    cancel(ada, source)
    drive()
    assert kernel.workflow(source)["status"] == "compensated"


def test_a_cancel_and_a_fork_at_the_same_time_leave_no_fork_on_what_is_undone(
    kernel: Kernel, ada: Caller, in_threads: Threads
) -> None:
    node = {"sequence": [{**noop("a"), **UNDONE}, {"wait": "w", "for": "1d"}]}
    name = kernel.register(node)
    for _ in range(5):
        source = kernel.start(name)
        drive()
        in_threads([partial(_try_fork, ada, source), partial(_try_cancel, ada, source)])
        drive()
        lives = db.rows("SELECT 1 FROM workflows WHERE forked_from = %s", (source,))
        was_undone = kernel.step(source, "a")["status"] == "compensated"
        assert was_undone != bool(lives)


def _try_fork(ada: Caller, source: UUID) -> None:
    with contextlib.suppress(Conflict):
        fork(ada, source, from_step="w")


def _try_cancel(ada: Caller, source: UUID) -> None:
    with contextlib.suppress(Conflict):
        cancel(ada, source)


def test_an_original_that_fails_waits_for_its_fork_and_keeps_what_that_took_over(
    kernel: Kernel, ada: Caller
) -> None:
    late = {"step": "late", "action": "control.fail", "when": "input.fails"}
    node = {
        "sequence": [
            {**noop("a"), **UNDONE},
            {"wait": "w", "for": {"$": "input.for"}},
            {**noop("b"), **UNDONE},
            late,
        ]
    }
    source = kernel.start(kernel.register(node), {"fails": True, "for": "1h"})
    drive()
    forked = fork(ada, source, from_step="w", input={"fails": False, "for": "2h"}).id
    drive()
    pass_time("1 hour")
    drive()
    assert kernel.workflow(source)["status"] == "compensating"
    assert "b~undo" not in rows(source)
    pass_time("1 hour")
    drive()
    assert kernel.workflow(forked)["status"] == "succeeded"
    pass_time("10 seconds")
    drive()
    assert kernel.workflow(source)["status"] == "compensated"
    assert rows(source)["b"]["status"] == "compensated"
    assert rows(source)["a"]["status"] == "succeeded"


def test_what_was_undone_or_is_being_undone_is_not_taken_over(kernel: Kernel, ada: Caller) -> None:
    node = {
        "sequence": [{**noop("a"), **UNDONE}, noop("b"), {"step": "f", "action": "control.fail"}]
    }
    source = kernel.start(kernel.register(node))
    drive(3)
    with pytest.raises(Conflict, match="being stopped"):
        fork(ada, source, from_step="f")
    drive()
    with pytest.raises(Conflict, match="'a' was undone"):
        fork(ada, source, from_step="f")
    assert fork(ada, source, from_step="a").created


def test_a_wide_map_is_taken_over_in_bounded_time(kernel: Kernel, ada: Caller) -> None:
    node = {
        "sequence": [{"map": "m", "over": {"$": "input.l"}, "do": noop("r")}, noop("z")],
    }
    source = kernel.start(kernel.register(node), {"l": list(range(3))})
    drive()
    _widen(source, 2000)
    forked = fork(ada, source, from_step="z").id
    (count,) = db.rows(
        "SELECT count(*) AS n FROM events WHERE workflow_id = %s AND body LIKE '%%StepAdopted%%'",
        (forked,),
    )
    assert count["n"] == 2002


def _widen(workflow: UUID, items: int) -> None:
    db.row(
        "INSERT INTO steps (workflow_id, key, task_id, position, action, status, join_key, output)"
        " SELECT workflow_id, format('m[%%s].r', n), gen_random_uuid(), position, action, status,"
        " join_key, output FROM steps, generate_series(3, %s) AS n"
        " WHERE workflow_id = %s AND key = 'm[0].r'",
        (items - 1, workflow),
    )
