"""Folds the events of a workflow into the rows that should exist. Pure: reads no database.

The plan says which rows can exist. Rows outside maps and loops exist from the start. The rows of a
block's body exist after the row that starts the block, or the block's next turn, has succeeded.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from app.keys import (
    adds_bodies,
    block_of,
    concrete,
    indexes_of,
    is_orphan,
    is_undo,
    orphan_of,
    template_of,
    undo_of,
    undone_by,
)
from chains.language.definition import MAX_ITEMS, Loop
from chains.plans.plan import Plan, PlannedStep
from chains.repair.expected import NONE_YET, Bounds, Expected, ExpectedStep, exactly

Data = Mapping[str, Any]


def fold(events: Iterable[Data], plan: Plan) -> Expected:
    """The rows that should exist after these events of one workflow, given in their order.

    An event of an unknown type changes nothing. Raise KeyError, TypeError or ValueError if an event
    is malformed.
    """
    folding = _Fold(plan)
    for event in events:
        folding.apply(event)
    return folding.expected


class _Fold:
    """Applies events one by one."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.expected = Expected()
        self._added: dict[str, int] = {}
        self._bodies: dict[str | None, list[PlannedStep]] = {}
        for step in plan.steps.values():
            self._bodies.setdefault(step.body_key, []).append(step)

    def apply(self, event: Data) -> None:
        """Apply the next event."""
        kind, data = event["type"], event.get("data", {})
        if kind in _OF_WORKFLOWS:
            _OF_WORKFLOWS[kind](self, data)
        elif kind == "StepCompensating":
            self._add_row(undo_of(str(event["step"])))
        elif kind in _OF_STEPS:
            key = str(event["step"])
            if kind == "StepAdopted" or is_undo(key):
                self._add_row(key)
            step = self.expected.steps.get(key)
            if step is None:
                self.expected.strays.append((key, kind))
                return
            _OF_STEPS[kind](self, key, step, data)

    # Rows.

    def _add_row(self, key: str) -> None:
        """Add the row of a compensation, or a row that a fork has adopted."""
        if is_undo(key):
            if undone_by(key) in self.expected.steps:
                self.expected.steps.setdefault(key, ExpectedStep(None))
        elif template_of(key) in self.plan.steps:
            action = self.plan.steps[template_of(key)].action
            self.expected.steps.setdefault(key, ExpectedStep(action))

    def _add_bodies(self, block: str, count: int) -> None:
        """Add the missing rows of a block's items or turns, so that there are `count` of them."""
        body = self._bodies.get(template_of(block), [])
        first = self._added.get(block, 0)
        for index in range(first, count):
            for step in body:
                key = concrete(step.key, (*indexes_of(block), index))
                self.expected.steps.setdefault(key, ExpectedStep(step.action))
        self._added[block] = max(first, count)

    def _change_other_rows(self, key: str, data: Data) -> None:
        """Add and skip the other rows that the outcome of the step `key` adds and skips.

        An outcome does so in a stopping workflow, too.
        """
        is_done = self.expected.steps[key].status == "succeeded"
        if is_done and adds_bodies(key):
            self._add_bodies(block_of(key), self._count(key, data))
        for skipped in data.get("skipped", ()):
            step = self.expected.steps.get(skipped)
            if step is not None and step.status == "pending":
                step.status = "skipped"

    def _count(self, key: str, data: Data) -> int:
        if "count" in data:
            return int(data["count"])
        # An event without `count` comes from a loop that has ended, or was logged by the first
        # release of Playalter.
        is_loop = isinstance(self.plan.step(key).block, Loop)
        return 0 if is_loop else _counts().get(str(data.get("output")), 0)

    # The workflow.

    def deferred(self, data: Data) -> None:
        workflow = self.expected.workflow
        workflow.status = "pending"
        workflow.type, workflow.version = str(data["workflow_type"]), int(data["version"])
        workflow.input = data.get("input")
        if data.get("has_steps"):  # a fork that waits for its start
            self._add_first_rows()

    def gathered(self, data: Data) -> None:
        """Another start has joined the workflow, or it has collected the inputs of all of them."""
        self.expected.workflow.input = data.get("input", self.expected.workflow.input)

    def started(self, data: Data) -> None:
        self.deferred(data)
        self.expected.workflow.status, self.expected.workflow.is_started = "running", True
        self._add_first_rows()

    def _add_first_rows(self) -> None:
        for step in self._bodies.get(None, ()):
            self.expected.steps.setdefault(step.key, ExpectedStep(step.action))

    def stopping(self, data: Data) -> None:
        workflow = self.expected.workflow
        was_pending = workflow.status == "pending"
        workflow.status, workflow.cause = "compensating", data.get("cause")
        workflow.is_completed = False
        if workflow.cause == "cancelled" or was_pending:
            workflow.is_paused = False

    def stop_refused(self, _: str, __: ExpectedStep, ___: Data) -> None:
        self.expected.workflow.status, self.expected.workflow.cause = "running", None
        for step in self.expected.steps.values():
            if step.status == "cancelled":
                step.status = "pending"

    def succeeded(self, data: Data) -> None:
        workflow = self.expected.workflow
        workflow.status, workflow.is_completed = "succeeded", True
        self._clear_attention()
        workflow.output = data.get("output")

    def stopped(self, status: str, data: Data) -> None:
        workflow = self.expected.workflow
        workflow.status, workflow.is_completed = status, True
        self._clear_attention()
        workflow.cause = data.get("cause", workflow.cause)
        for key, step in self.expected.steps.items():
            # A step that was never claimed is cancelled without an event. An orphan effect (one
            # that its step does not own) is not cancelled.
            if step.status == "pending" and not is_orphan(key):
                self._cancel(step, {})

    def _clear_attention(self) -> None:
        """Clear `attention`, as `lasting_attention_v1` does at the end of a workflow."""
        steps = self.expected.steps.items()
        lasting = ("cost_above_ceiling", "effect_failed")
        is_lasting = self.expected.workflow.attention in lasting
        if not is_lasting and not any(
            is_orphan(key) and step.status == "failed" for key, step in steps
        ):
            self.expected.workflow.attention = None

    def attention(self, data: Data) -> None:
        self.expected.workflow.attention = str(data.get("reason"))

    def attention_resolved(self, data: Data) -> None:
        self.expected.workflow.attention = data.get("attention")

    def pause(self, is_paused: bool) -> None:
        self.expected.workflow.is_paused = is_paused

    # Steps: how an attempt ended.

    def finished(self, key: str, step: ExpectedStep, data: Data, status: str) -> None:
        step.tries = _number(data, "tries", step.tries_by_now())
        step.status, step.code = status, data.get("code")
        step.cost = exactly(int(data.get("cost", 0)))
        step.output = data.get("output")
        self._change_other_rows(key, data)

    def failed(self, key: str, step: ExpectedStep, data: Data) -> None:
        if data.get("is_tolerated"):
            self.finished(key, step, data, "failed")
        else:
            self._try(step, "failed", data)

    def retried(self, _: str, step: ExpectedStep, data: Data) -> None:
        self._try(step, "pending", data)
        step.has_exact_tries = "tries" in data
        step.generation = _number(data, "generation", step.generation.plus(0, 1))

    def suspended(self, _: str, step: ExpectedStep, data: Data) -> None:
        step.cost = _number(data, "cost", Bounds(step.cost.low, None))
        step.status, step.tries, step.code = "waiting", exactly(0), None
        step.external_id = data.get("external_id")

    def doubted(self, _: str, step: ExpectedStep, data: Data) -> None:
        step.tries = step.tries_by_now()
        if data.get("code") != "lease_expired":
            # The attempt counts as a try only if it sent a call. Only `tries` shows whether it did.
            step.tries = _number(data, "tries", step.tries.plus(0, 1))
            step.cost = _number(data, "cost", Bounds(step.cost.low, None))
            step.has_exact_tries, step.code = "tries" in data, data.get("code")
        step.status = "unknown"

    def released(self, _: str, step: ExpectedStep, data: Data) -> None:
        step.tries = step.tries_by_now()
        step.cost = _number(data, "cost", step.cost_by_now())
        step.status = "pending"

    def cancelled(self, _: str, step: ExpectedStep, data: Data) -> None:
        self._cancel(step, data)
        step.cost = _number(data, "cost", Bounds(step.cost.low, None))

    def _cancel(self, step: ExpectedStep, data: Data) -> None:
        step.tries = _number(data, "tries", step.tries_by_now())
        step.cost = step.cost_by_now()
        step.status = "cancelled"

    def _try(self, step: ExpectedStep, status: str, data: Data) -> None:
        """Count an attempt that did not succeed."""
        step.tries = _number(data, "tries", step.tries_by_now().plus(1, 1))
        step.cost = _number(data, "cost", Bounds(step.cost.low, None))
        step.status, step.code = status, data.get("code")

    def cost_assumed(self, _: str, step: ExpectedStep, data: Data) -> None:
        step.cost = exactly(int(data["cost"]))

    def compensated(self, key: str, step: ExpectedStep, data: Data) -> None:
        self._add_row(undo_of(key))
        undo = self.expected.steps[undo_of(key)]
        undo.tries = _number(data, "tries", undo.tries_by_now())
        undo.status, undo.code, undo.output = "succeeded", None, data.get("output")
        undo.cost = _number(data, "cost", Bounds(undo.cost.low, None))
        if step.status != "failed":
            step.tries, step.cost = step.tries_by_now(), step.cost_by_now()
            step.status = "compensated"

    def undo_failed(self, key: str, step: ExpectedStep, data: Data) -> None:
        """A compensation that was done has failed at the platform."""
        undo = self.expected.steps[undo_of(key)]
        undo.status, undo.code, undo.output = "failed", data.get("code"), None
        step.status = "succeeded" if step.status == "compensated" else step.status
        workflow = self.expected.workflow
        workflow.status, workflow.is_completed = "compensating", False

    # Steps: what people and forks did.

    def retry_requested(self, _: str, step: ExpectedStep, data: Data) -> None:
        step.cost = step.cost_by_now()
        step.status, step.code, step.tries = "pending", None, NONE_YET
        step.generation = _number(data, "generation", step.generation)
        # In a new generation the step repeats its calls, and no longer waits for the old id.
        step.external_id = None if "generation" in data else step.external_id
        step.input = data.get("input", step.input)

    def skip_requested(self, _: str, step: ExpectedStep, data: Data) -> None:
        step.tries, step.cost = step.tries_by_now(), step.cost_by_now()
        step.status, step.code = "pending", None

    def resolved(self, key: str, step: ExpectedStep, data: Data) -> None:
        of_undo, how = is_undo(key), data["as"]
        is_fresh = how == "never" or (of_undo and how == "retry")
        step.tries = NONE_YET if is_fresh else step.tries_by_now()
        step.cost = step.cost_by_now()
        step.status, step.code = str(data["status"]), None
        step.generation = _number(data, "generation", step.generation)
        if how == "never" or (not of_undo and how != "retry"):
            step.external_id = None

    def orphan_found(self, key: str, step: ExpectedStep, data: Data) -> None:
        name = orphan_of(key, data["external_id"])
        found = ExpectedStep(step.action, "skipped", external_id=data["external_id"])
        self.expected.steps[name] = found
        self.expected.steps[undo_of(name)] = ExpectedStep(step.action)

    def adopted(self, _: str, step: ExpectedStep, data: Data) -> None:
        # Keep no external id and no generation: the calls belong to the first workflow.
        step.status = data.get("status", "succeeded")
        step.output, step.cost = data.get("output"), exactly(int(data.get("cost", 0)))


def _number(data: Data, name: str, otherwise: Bounds) -> Bounds:
    """The number `name` of the event as exact bounds; if the event has none, `otherwise`."""
    return exactly(int(data[name])) if name in data else otherwise


@lru_cache(maxsize=1)
def _counts() -> dict[str, int]:
    # An event of Playalter's first release contains, instead of the number of items, only the hash
    # of the output, so the number is found by its hash.
    texts = {number: f'{{"count": {number}}}' for number in range(MAX_ITEMS + 1)}
    return {hashlib.sha256(text.encode()).hexdigest(): number for number, text in texts.items()}


_OF_WORKFLOWS: dict[str, Callable[[_Fold, Data], None]] = {
    "WorkflowDeferred": _Fold.deferred,
    "StartJoined": _Fold.gathered,
    "StartsCollected": _Fold.gathered,
    "WorkflowStarted": _Fold.started,
    "WorkflowStopping": _Fold.stopping,
    "WorkflowSucceeded": _Fold.succeeded,
    "WorkflowCompensated": lambda f, data: f.stopped("compensated", data),
    "WorkflowCancelled": lambda f, data: f.stopped("cancelled", data),
    "WorkflowFailed": lambda f, data: f.stopped("failed", data),
    "AttentionNeeded": _Fold.attention,
    "AttentionResolved": _Fold.attention_resolved,
    "WorkflowPaused": lambda f, _: f.pause(True),
    "WorkflowResumed": lambda f, _: f.pause(False),
    # The row of a budget is no projection of events.
    "BudgetChanged": lambda _, __: None,
}

_OF_STEPS: dict[str, Callable[[_Fold, str, ExpectedStep, Data], None]] = {
    "StepSucceeded": lambda f, key, step, data: f.finished(key, step, data, "succeeded"),
    "StepSkipped": lambda f, key, step, data: f.finished(key, step, data, "skipped"),
    "StepFailed": _Fold.failed,
    "StepRetryScheduled": _Fold.retried,
    "StepSuspended": _Fold.suspended,
    # How often people were reminded is no projection of events.
    "ApprovalReminded": lambda _, __, ___, ____: None,
    "StepWoken": _Fold.released,
    "StepLeaseExpired": _Fold.released,
    "StepOutcomeUnknown": _Fold.doubted,
    "StepCancelled": _Fold.cancelled,
    "StepCompensated": _Fold.compensated,
    "UndoFailed": _Fold.undo_failed,
    # It changes no row of a step; the call for a person is an event of its own.
    "EffectFailed": lambda _, __, ___, ____: None,
    "StopRefused": _Fold.stop_refused,
    "StepRetryRequested": _Fold.retry_requested,
    "StepSkipRequested": _Fold.skip_requested,
    "StepResolved": _Fold.resolved,
    # That the step's output is another's is no projection of events: StepSucceeded follows.
    "StepReused": lambda _, __, ___, ____: None,
    # Which model was asked instead is in the output.
    "ModelPassedOver": lambda _, __, ___, ____: None,
    "StepAdopted": _Fold.adopted,
    "OrphanFound": _Fold.orphan_found,
    "CostAssumed": _Fold.cost_assumed,
    "CostCorrected": _Fold.cost_assumed,
    "CostBooked": _Fold.cost_assumed,
}
