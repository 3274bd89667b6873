"""The values that references read: the workflow's input and the recorded outcomes of its steps."""

from typing import Any

from app import db
from app.errors import Permanent
from app.keys import concrete, indexes_of, item_prefix, name_of
from app.platform import Json
from app.protocol.claims import Claim
from chains.language.expressions import ExpressionInvalid
from chains.language.functions.dates import written
from chains.plans.plan import Plan, PlannedStep
from chains.running.evaluating import render
from chains.running.reading import records


def render_or_fail(template: Any, scope: Json) -> Any:
    """The template with its references replaced; raise Permanent if an expression fails."""
    try:
        return render(template, scope)
    except ExpressionInvalid as err:
        raise Permanent(f"a reference failed: {err}", code="reference_failed") from err


def scope_of(claim: Claim, step: PlannedStep, *, own: bool = False) -> Json:
    """The values that the row's expressions read.

    Set `own` for a compensation: the scope then contains the step itself and every step to which
    that step may refer.
    """
    indexes = indexes_of(claim.key)
    if own:
        names, reads = {**step.scope, name_of(step.key): step.key}, step.undo_names
    else:
        names = {name: key for name, key in step.scope.items() if key in step.references}
        reads = step.names
    keys = {name: concrete(key, indexes) for name, key in names.items()}
    found = outputs(claim, list(keys.values()))
    scope: Json = {
        "steps": {name: found.get(key) for name, key in keys.items()},
        "item": claim.item,
        "index": indexes[-1] if indexes else None,
    }
    if reads & {"input", "workflow"}:
        scope |= workflow_names(claim)
    if "now" in reads:
        scope["now"] = written(records().ready_at(claim.workflow_id, claim.key))
    return scope


def workflow_names(claim: Claim) -> Json:
    """The names `input` and `workflow` of a scope."""
    known = claim.known
    if known.workflow is None:
        known.workflow = records().workflow(claim.workflow_id)
    row = known.workflow
    assert row is not None
    facts = {
        "id": str(row["id"]),
        "type": row["type"],
        "user": str(row["user_id"]),
        "started_at": written(row["started_at"]),
    }
    return {"input": row["input"], "workflow": facts}


def outputs(claim: Claim, keys: list[str]) -> dict[str, Json]:
    """The values {output, status, error, failures} that references read, by step key."""
    known = claim.known.steps
    found = [known[key] for key in keys if key in known]
    missing = [key for key in keys if key not in known]
    if missing:
        found += records().steps(claim.workflow_id, missing)
    return {row["key"]: seen(row) for row in found}


def seen(row: Json) -> Json:
    """Convert a step's row to the form that references read."""
    error = row["error"] or {}
    return {
        "output": row["output"],
        "status": row["status"],
        "error": row["error"],
        "failures": error.get("failures", []),
    }


def resolved_output(claim: Claim) -> Json | None:
    """The output that a person gave for the step, as {output}; None if the person skipped it."""
    return db.patiently(
        lambda: db.row(
            "SELECT resolved_output AS output FROM steps WHERE workflow_id = %s AND key = %s"
            " AND resolved_output IS NOT NULL",
            (claim.workflow_id, claim.key),
        ),
    )


def item_has_failed(claim: Claim, plan: Plan, collect_key: str) -> bool:
    """Whether a step failed in the same item of the map `collect_key` as the claimed step.

    Failures that another map inside that item collects do not count.
    """
    prefix = item_prefix(collect_key, claim.key)
    rows = records().failures(claim.workflow_id, prefix)
    return any(plan.step(row["key"]).collect_key == collect_key for row in rows)
