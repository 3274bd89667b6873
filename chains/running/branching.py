"""Maps, choices and loops: decides which rows run next, and collects outputs for their joins."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from app.errors import Permanent
from app.keys import block_of, concrete, ends_turn, indexes_of, items_prefix, template_of
from app.platform import Json
from app.protocol.claims import Claim
from chains.language.definition import MAX_ITEMS, Loop, Map
from chains.language.expressions import ExpressionInvalid
from chains.plans.compiler import body_rows
from chains.plans.counting import MAX_ROWS, least_steps_of_items
from chains.plans.plan import CHOOSE, EXPAND, Plan, PlannedStep
from chains.running.evaluating import first_that_holds, holds
from chains.running.reading import records
from chains.running.references import outputs, render_or_fail, scope_of, workflow_names

_MANY = 1000
"""So many rows are not made before the workflow's steps are counted. This count saves work only:
other rows of the workflow may add steps meanwhile, so that `finish_step_v1` counts again."""


@dataclass(frozen=True)
class Turn:
    """The decision of a branching row (a row that starts a block or ends a turn of a loop).

    `changes` describes the rows that its success adds, skips or releases. It is the argument
    `p_turn` of the SQL function `finish_step_v1`. `no_room` is the error of the row if that
    function refuses the turn, because the workflow would have too many steps.
    """

    output: Json
    changes: Json
    no_room: Json | None = None


@dataclass(frozen=True)
class Collected:
    """A join's output; `error` lists the failed items of a map with `on_item_failure: collect`."""

    output: Any
    error: Json | None = None


def turn(claim: Claim, plan: Plan, step: PlannedStep) -> Turn:
    """The decision of a branching row; raise Permanent if it cannot be made."""
    if step.action == EXPAND:
        return _expand(claim, plan, step)
    if step.action == CHOOSE:
        return _choose(claim, step)
    return _next_turn(claim, plan, step) if ends_turn(claim.key) else _first_turn(claim, plan)


def _expand(claim: Claim, plan: Plan, step: PlannedStep) -> Turn:
    items = render_or_fail(step.template, scope_of(claim, step))["items"]
    join = block_of(claim.key)
    if not isinstance(items, list):
        raise Permanent(f"`over` of map {join} is not a list", code="not_a_list")
    if len(items) > MAX_ITEMS:
        raise Permanent(f"a map takes {MAX_ITEMS} items, not {len(items)}", code="too_many_items")
    assert isinstance(step.block, Map)
    window = step.block.max_concurrency

    def read_input() -> Json:
        found: Json = workflow_names(claim)["input"]
        return found

    least = least_steps_of_items(plan, template_of(join), items, read_input)
    no_room = _no_room(join)
    if least > _MANY and records().step_count(claim.workflow_id) + least > MAX_ROWS:
        raise Permanent(no_room["message"], code=no_room["code"])
    rows, heads = body_rows(plan, join, items, 0, window)
    added: Json = {"join": join, "count": len(items), "window": window, "steps": rows}
    changes = {**added, "room": MAX_ROWS - least, "release": heads or [join]}
    return Turn({"count": len(items)}, changes, no_room)


def _choose(claim: Claim, step: PlannedStep) -> Turn:
    with _failing_conditions():
        chosen = first_that_holds([way.when for way in step.ways], scope_of(claim, step))
    indexes = indexes_of(claim.key)
    others = [key for n, way in enumerate(step.ways) if n != chosen for key in way.keys]
    heads = (block_of(step.key),) if chosen is None else step.ways[chosen].heads
    changes: Json = {
        "skip": [concrete(key, indexes) for key in others],
        "release": [concrete(key, indexes) for key in heads],
    }
    return Turn({"way": chosen}, changes)


@contextmanager
def _failing_conditions() -> Iterator[None]:
    try:
        yield
    except ExpressionInvalid as err:
        raise Permanent(f"a condition failed: {err}", code="condition_failed") from err


def _first_turn(claim: Claim, plan: Plan) -> Turn:
    join = block_of(claim.key)
    return Turn({"turns": 1}, _turn_rows(claim, plan, join, 0), _no_room(join))


def _next_turn(claim: Claim, plan: Plan, step: PlannedStep) -> Turn:
    assert isinstance(step.block, Loop)
    join, number = block_of(claim.key), indexes_of(claim.key)[-1]
    with _failing_conditions():
        has_ended = holds(step.block.until, scope_of(claim, step))
    if not has_ended and number + 1 < step.block.max:
        return Turn(
            {"ended": False, "turns": number + 2},
            _turn_rows(claim, plan, join, number + 1),
            _no_room(join),
        )
    if not has_ended and step.block.on_exhausted == "fail":
        raise Permanent(
            f"loop {join} has not ended after {step.block.max} turns", code="loop_exhausted"
        )
    return Turn({"ended": has_ended, "turns": number + 1}, {"release": [join]})


def _turn_rows(claim: Claim, plan: Plan, join: str, number: int) -> Json:
    rows, heads = body_rows(plan, join, [claim.item], number, 1)
    added: Json = {"join": join, "count": number + 1, "steps": rows}
    return {**added, "room": MAX_ROWS - len(rows), "release": heads}


def _no_room(block: str) -> Json:
    """The error of a row whose block would give the workflow too many steps."""
    return {
        "code": "too_many_steps",
        "message": f"with the steps of {block}, the workflow has more than {MAX_ROWS} steps; use"
        " fewer items or turns, or start a workflow for each item",
    }


def collected(claim: Claim, plan: Plan, step: PlannedStep) -> Collected:
    """The output of a join.

    The output of a map is the list of its items' outputs in order. The output of a loop is that of
    its last turn, and the output of a choice that of the chosen alternative. The output of a
    parallel block is null.
    """
    if step.ways:
        return Collected(_chosen_output(claim, step))
    if step.result_key is None:
        return Collected(None)
    count = records().item_count(claim.workflow_id, claim.key)
    outer = indexes_of(claim.key)
    keys = [concrete(step.result_key, (*outer, index)) for index in range(count)]
    if isinstance(step.block, Loop):
        last = keys[-1:]
        return Collected(next((row["output"] for row in _listed(claim, last)), None))
    found = outputs(claim, keys)
    values = [found[key]["output"] if key in found else None for key in keys]
    is_collecting = isinstance(step.block, Map) and step.block.on_item_failure == "collect"
    return Collected(values, _failures(claim, plan, step) if is_collecting else None)


def _listed(claim: Claim, keys: list[str]) -> list[Json]:
    found = outputs(claim, keys)
    return [found[key] for key in keys if key in found]


def _chosen_output(claim: Claim, step: PlannedStep) -> Any:
    indexes = indexes_of(claim.key)
    keys = [concrete(way.result_key, indexes) for way in step.ways]
    done = [row for row in _listed(claim, keys) if row["output"] is not None]
    return done[0]["output"] if done else None


def _failures(claim: Claim, plan: Plan, step: PlannedStep) -> Json | None:
    found = records().failures(claim.workflow_id, items_prefix(claim.key))
    rows = [row for row in found if plan.step(row["key"]).collect_key == step.key]
    depth = len(indexes_of(claim.key))
    failures = [
        {
            "index": indexes_of(row["key"])[depth],
            "step": row["key"],
            "code": (row["error"] or {}).get("code"),
            "message": (row["error"] or {}).get("message"),
        }
        for row in rows
    ]
    failures.sort(key=lambda failure: failure["index"])
    return {"code": "items_failed", "failures": failures} if failures else None
