"""What the engine asks of a definition before and after a step: its input, and what it leads to."""

from typing import Any
from uuid import UUID

import structlog

from app import claims, db
from app.attempt import Prepared
from app.claims import Claim
from app.errors import Permanent
from app.payload import dumps
from app.platform import Json
from chains import registry
from chains.compiler import item_rows
from chains.expressions import ExpressionInvalid, render
from chains.plan import EXPAND, JOIN, Plan, PlannedStep, concrete, indexes_of

log = structlog.get_logger()

MAX_ITEMS = 5000


def prepare(claim: Claim) -> Prepared:
    """The step's input from its template, with its policy; raise Permanent when it cannot be."""
    if claim.undo:
        return Prepared(input=None, is_recorded=False)
    plan = registry.plan(claim.type, claim.version)
    step = plan.step(claim.key)
    if step.action == EXPAND:
        return _expansion(claim, plan, step)
    given = _collected(claim, plan, step) if step.action == JOIN else _input(claim, plan, step)
    ends = step.is_last

    def output(own: Any) -> Json | None:
        return _workflow_output(claim, plan, step, own)

    return Prepared(
        input=given,
        tries=step.tries,
        timeout_seconds=step.timeout_seconds,
        is_recorded=step.action != JOIN and bool(given),
        workflow_output=output if ends else None,
    )


def _input(claim: Claim, plan: Plan, step: PlannedStep) -> Any:
    if claim.input is not None:
        return claim.input
    if not step.template:
        return {}
    return _render(step.template, _scope(claim, step))


def _render(template: Any, scope: Json) -> Any:
    try:
        return render(template, scope)
    except ExpressionInvalid as err:
        raise Permanent(f"a reference failed: {err}", code="reference_failed") from err


def _scope(claim: Claim, step: PlannedStep) -> Json:
    """The data the step's references may read: the workflow's input and recorded outputs."""
    indexes = indexes_of(claim.key)
    names = {name: key for name, key in step.scope.items() if key in step.references}
    outputs = _outputs(claim.workflow_id, [concrete(key, indexes) for key in names.values()])
    return {
        "input": _workflow_input(claim.workflow_id),
        "steps": {
            name: {"output": outputs.get(concrete(key, indexes))} for name, key in names.items()
        },
        "item": claim.item,
        "index": indexes[-1] if indexes else None,
    }


def _workflow_input(workflow_id: UUID) -> Json:
    row = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
        lambda: db.row("SELECT input FROM workflows WHERE id = %s", (workflow_id,)),
    )
    return row["input"] if row else {}


def _outputs(workflow_id: UUID, keys: list[str]) -> dict[str, Any]:
    if not keys:
        return {}
    found = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
        lambda: db.rows(
            "SELECT key, output FROM steps WHERE workflow_id = %s AND key = ANY (%s)",
            (workflow_id, keys),
        ),
    )
    return {row["key"]: row["output"] for row in found}


def _collected(claim: Claim, plan: Plan, step: PlannedStep) -> Json:
    """A map's join collects its items' outputs in order."""
    if step.result_key is None:
        return {"items": None}
    row = claims.patiently(
        claims.CLAIM_PATIENCE_SECONDS,
        lambda: db.row(
            "SELECT item_count FROM steps WHERE workflow_id = %s AND key = %s",
            (claim.workflow_id, claim.key),
        ),
    )
    count = row["item_count"] if row else 0
    outer = indexes_of(claim.key)
    keys = [concrete(step.result_key, (*outer, index)) for index in range(count or 0)]
    outputs = _outputs(claim.workflow_id, keys)
    return {"items": [outputs.get(key) for key in keys]}


def _expansion(claim: Claim, plan: Plan, step: PlannedStep) -> Prepared:
    items = _render(step.template, _scope(claim, step))["items"]
    if not isinstance(items, list):
        raise Permanent(
            f"`over` of map {step.key.removesuffix('~expand')} is not a list", code="not_a_list"
        )
    if len(items) > MAX_ITEMS:
        raise Permanent(f"a map takes {MAX_ITEMS} items, not {len(items)}", code="too_many_items")

    def expand(_: Any) -> Json:
        rows, heads = item_rows(plan, claim.workflow_id, claim.key, items)
        join = claim.key.removesuffix("~expand")
        return {
            "join": join,
            "count": len(items),
            "window": step.window,
            "heads": heads or [join],
            "steps": rows,
        }

    return Prepared(input={"items": items}, is_recorded=False, expand=expand)


def _workflow_output(claim: Claim, plan: Plan, step: PlannedStep, own: Any) -> Json | None:
    """The workflow's output, its last step's own output included before that is recorded."""
    if not plan.output:
        return None
    others = [key for key in plan.output_references if key != step.key]
    outputs = {**_outputs(claim.workflow_id, others), step.key: own}
    scope = {
        "input": _workflow_input(claim.workflow_id),
        "steps": {key: {"output": outputs.get(key)} for key in plan.output_references},
    }
    try:
        rendered: Json = render(plan.output, scope)
    except ExpressionInvalid as err:
        # All the work is done and paid for: the outputs of its steps stand, this one does not.
        return _without_output(claim, f"the output expression failed: {err}")
    try:
        dumps(rendered)
    except Permanent as err:
        return _without_output(claim, err.message)
    return rendered


def _without_output(claim: Claim, reason: str) -> Json:
    log.warning("workflow.output_failed", workflow=str(claim.workflow_id), error=reason)
    return {"error": reason}
