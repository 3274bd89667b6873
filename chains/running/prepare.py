"""Prepares a step for the engine: reads from the definition its input, its policy (retries and
time-outs), and what its outcome leads to."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from pydantic import ValidationError

from app.engine.prepared import Prepared, Tolerance
from app.engine.releases import Misfit
from app.engine.retry import RetryPolicy
from app.errors import InvalidInput, Permanent
from app.keys import is_orphan, undone_by
from app.payload import dumps
from app.platform import Json
from app.protocol.claims import Claim
from chains.language.definition import LONGEST_SECONDS, Child, Default, Retry, Step
from chains.language.expressions import ExpressionInvalid
from chains.language.schema import check_output
from chains.plans.plan import (
    APPROVAL,
    BRANCHING,
    CHILD,
    EVENT,
    JOIN,
    WAIT,
    Plan,
    PlannedStep,
    dead_path,
)
from chains.running import branching, waits
from chains.running.evaluating import holds, render
from chains.running.prompting import with_prompts
from chains.running.reading import records
from chains.running.references import (
    item_has_failed,
    outputs,
    render_or_fail,
    resolved_output,
    scope_of,
    seen,
    workflow_names,
)

log = structlog.get_logger()

_BUILDERS: dict[str, Callable[[Claim, Plan, PlannedStep], Json]] = {
    WAIT: waits.timer_input,
    EVENT: waits.event_input,
    APPROVAL: waits.approval_input,
    CHILD: waits.child_input,
}


def prepare(claim: Claim) -> Prepared:
    """The input of the claimed step, made from its template, and its policy.

    If the input cannot be made, the result has a `fault`; for a compensation, raise Permanent.
    Raise Misfit if this release of Playalter cannot read the definition.
    """
    try:
        plan = records().plan(claim.type, claim.version)
    except ValidationError as err:
        # The release that registered the definition could read it. So that release is newer than
        # this one.
        words = f"the worker that took the step cannot read {claim.type} version {claim.version}"
        message = f"{words}, which is of another release; the step waits for a worker that can"
        raise Misfit("definition_unknown", message) from err
    if claim.undo:
        return _undo(claim)
    step = plan.step(claim.key)
    if step.action in BRANCHING:
        return _branch(claim, plan, step)
    if step.action == JOIN:
        return _join(claim, plan, step)
    return _single(claim, plan, step)


def _single(claim: Claim, plan: Plan, step: PlannedStep) -> Prepared:
    node = step.node
    base = partial(
        Prepared,
        input={},
        is_recorded=False,
        policy=_policy(node.retry if isinstance(node, Step) else None),
        tolerance=_tolerance(claim, plan, step),
        is_holding=plan.is_holding,
        pivot=plan.pivot,
        is_pivot=step.is_pivot,
        workflow_output=_output_of(claim, plan, step),
        checked_with=_checked_with(claim),
        is_again=plan.is_in_later_turn(claim.key),
    )
    if claim.skips:
        return _as_decided(base, claim)
    try:
        given = _input(claim, plan, step)
        limit = None if given is None else _timeout(claim, step)
        of_attempt = None if given is None else waits.attempt_limit(claim, step)
    except Permanent as err:
        return base(fault=err)
    except (ArithmeticError, TypeError, ValueError, RecursionError) as err:
        fault = Permanent(f"the input cannot be made: {type(err).__name__}", code="input_failed")
        return base(fault=fault)
    if given is None:
        return base(is_skipped=True)
    return base(
        input=given,
        is_recorded=bool(given),
        timeout_seconds=limit,
        attempt_seconds=of_attempt,
    )


def _as_decided(base: Callable[..., Prepared], claim: Claim) -> Prepared:
    """The result for a step that a person skipped or whose output a person gave."""
    decided = resolved_output(claim)
    if decided is None:
        return base(is_skipped=True)
    return base(is_resolved=True, output=decided["output"])


def _timeout(claim: Claim, step: PlannedStep) -> float | None:
    own = waits.time_limit(claim, step)
    # A child has its own time-out. The step that waits for the child must not end earlier.
    return LONGEST_SECONDS if own is None and isinstance(step.node, Child) else own


def _input(claim: Claim, plan: Plan, step: PlannedStep) -> Any:
    """The step's input; None if its condition is false, so that the step is skipped."""
    if claim.input is not None:
        return claim.input
    if step.conditions and not _condition_holds(claim, step):
        return None
    build = _BUILDERS.get(step.action)
    return _render(claim, step) if build is None else build(claim, plan, step)


def _output_of(
    claim: Claim, plan: Plan, step: PlannedStep
) -> Callable[[Any, str, Json | None], Json | None] | None:
    """A function that makes the workflow's output from the outcome of its last step.

    The outcome is an argument, because it is not recorded yet. None if the step is not the last, or
    if the workflow has no output.
    """
    if not step.is_last or not plan.output:
        return None
    return lambda output, status, error: _workflow_output(
        claim, plan, step, {"output": output, "status": status, "error": error}
    )


def _condition_holds(claim: Claim, step: PlannedStep) -> bool:
    (when,) = step.conditions
    return _holds(when, scope_of(claim, step))


def _holds(condition: str, scope: Json) -> bool:
    try:
        return holds(condition, scope)
    except ExpressionInvalid as err:
        raise Permanent(f"a condition failed: {err}", code="condition_failed") from err


def _render(claim: Claim, step: PlannedStep) -> Any:
    if not step.template:
        return {}
    given = render_or_fail(step.template, scope_of(claim, step))
    return with_prompts(claim, step.action, step.template, given)


def _policy(retry: Retry | None) -> RetryPolicy | None:
    if retry is None:
        return None
    default = RetryPolicy()
    return RetryPolicy(
        tries=retry.tries,
        base_seconds=retry.backoff or default.base_seconds,
        factor=retry.factor or default.factor,
        cap_seconds=retry.cap or default.cap_seconds,
        jitter=default.jitter if retry.jitter is None else retry.jitter,
        codes=None if retry.on is None else frozenset(retry.on),
    )


def _tolerance(claim: Claim, plan: Plan, step: PlannedStep) -> Tolerance | None:
    """How the workflow continues after a permanent failure of the step.

    None if the failure also fails the workflow.
    """
    wanted = step.node.on_failure if isinstance(step.node, Step | Child) else "fail"
    if isinstance(wanted, Default):
        return Tolerance("skipped", wanted.default)
    if wanted == "skip":
        return Tolerance("skipped")
    if step.collect_key is None:
        return None
    return Tolerance("failed", None, _skipped_path(plan, claim.key))


def _skipped_path(plan: Plan, key: str) -> Json:
    skipped, join = dead_path(plan, key)
    return {"skip": skipped, "settle": join}


def _branch(claim: Claim, plan: Plan, step: PlannedStep) -> Prepared:
    base = Prepared(
        input={},
        is_recorded=False,
        tolerance=_tolerance(claim, plan, step),
        is_holding=plan.is_holding,
        pivot=plan.pivot,
    )
    try:
        turn = branching.turn(claim, plan, step)
    except Permanent as err:
        return replace(base, fault=err)
    except (ArithmeticError, TypeError, ValueError, RecursionError) as err:
        fault = Permanent(f"the input cannot be made: {type(err).__name__}", code="input_failed")
        return replace(base, fault=fault)
    made: Json = {"decision": turn.output}
    return replace(base, input=made, turn=turn.changes, no_room=turn.no_room)


def _join(claim: Claim, plan: Plan, step: PlannedStep) -> Prepared:
    base = Prepared(
        input={}, is_recorded=False, workflow_output=_output_of(claim, plan, step), pivot=plan.pivot
    )
    if step.collect_key is not None and item_has_failed(claim, plan, step.collect_key):
        return replace(base, is_skipped=True, turn=_skipped_path(plan, claim.key))
    found = branching.collected(claim, plan, step)
    return replace(base, input={"items": found.output}, error=found.error)


def _undo(claim: Claim) -> Prepared:
    """Prepare a compensation.

    The action's own compensation needs no input, because it reads the record of the step. A
    compensation by another action has an input.
    """
    if is_orphan(claim.key):
        # The definition's other action undoes the step's own effect. An orphan effect (one that the
        # step does not own) is undone by the action's own compensation.
        return Prepared(input=None, is_recorded=False)
    plan = records().plan(claim.type, claim.version)
    step = plan.step(undone_by(claim.key))
    other = step.other_compensation
    if other is None:
        return Prepared(input=None, is_recorded=False)
    given = claim.input
    if given is None:
        rendered = render_or_fail(other.with_, scope_of(claim, step, own=True))
        given = with_prompts(claim, other.action, other.with_, rendered)
    return Prepared(input=given, is_other_action=True, checked_with=_checked_with(claim))


def _checked_with(claim: Claim) -> Callable[[str], str | None]:
    return partial(records().checked_with, claim.type, claim.version)


def _workflow_output(claim: Claim, plan: Plan, step: PlannedStep, outcome: Json) -> Json:
    """The workflow's output; `outcome` is the outcome of its last step, not recorded yet."""
    others = [key for key in plan.output_references if key != step.key]
    found = outputs(claim, others)
    found[step.key] = seen(outcome)
    scope = workflow_names(claim) | {
        "steps": {key: found.get(key) for key in plan.output_references}
    }
    try:
        rendered: Json = render(plan.output, scope)
    except ExpressionInvalid as err:
        # All work is done and paid for, so the workflow succeeds without its output.
        return _without_output(claim.workflow_id, f"the output expression failed: {err}")
    try:
        dumps(rendered)
        check_output(plan.output_schema, rendered)
    except (Permanent, InvalidInput) as err:
        return _without_output(claim.workflow_id, err.message)
    return rendered


def _without_output(workflow_id: UUID, reason: str) -> Json:
    log.warning("workflow.output_failed", workflow=str(workflow_id), error=reason)
    return {"error": reason}
