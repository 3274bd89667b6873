"""Writes outcomes into memory. Each method does what the SQL function of the same name does.

tests/integration/running/test_rehearsal.py compares a rehearsal with a run on PostgreSQL.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.errors import Suspend
from app.keys import child_id, item_key, signal_id, undo_of, undone_by
from app.payload import clean
from app.platform import Json
from app.protocol.claims import Advance, Claim
from app.protocol.outcomes import Attempt, Finish
from chains.incoming.events import Incoming, Stored
from chains.language.event_patterns import patterns
from chains.language.expressions import ExpressionInvalid, holds
from chains.plans.plan import CHILD
from chains.rehearsal.memory import NO_USER, Delivery, Memory, StepRow, WorkflowRow

_LEFT_SECONDS = 60.0


@dataclass
class MemoryOutcomes:
    """An `OutcomeWriter` (app/engine) that writes to memory; released steps are due at once."""

    memory: Memory

    def finish_step(self, claim: Claim, attempt: Attempt, finish: Finish) -> Advance:
        """See finish_step_v1."""
        workflow, row = self._row(claim)
        turn = finish.turn or {}
        if "room" in turn and len(workflow.rows) > turn["room"]:
            return Advance("no_room")
        row.status, row.output, row.error = finish.status, finish.output, finish.error
        if row.undo:
            return self._undone(workflow, row)
        if finish.status == "failed":
            workflow.failed[row.key] = row
        if finish.is_pivot and workflow.status == "compensating" and finish.status == "succeeded":
            self._refuse_stop(workflow)
        self._turn(workflow, turn)
        return self._follow(workflow, row, finish)

    def _undone(self, workflow: WorkflowRow, row: StepRow) -> Advance:
        original = workflow.rows[undone_by(row.key)]
        if original.status != "failed":
            original.status = "compensated"
        workflow.undone.append(original.key)
        return Advance("undone")

    def _refuse_stop(self, workflow: WorkflowRow) -> None:
        workflow.status, workflow.cause, workflow.error = "running", None, None
        if workflow.failed:
            call_person(workflow, "step_failed")
        now = self.memory.now()
        for row in workflow.rows.values():
            is_due = row.wake_at is None or row.wake_at <= now
            if row.released and row.status == "pending" and is_due:
                self.memory.ready.append((workflow, row))

    def _turn(self, workflow: WorkflowRow, turn: Json) -> None:
        """Apply the decision of a map, choice or loop: add rows, skip steps, count items."""
        workflow.add(turn.get("steps", ()))
        for key in turn.get("skip", ()):
            if key in workflow.rows and workflow.rows[key].status == "pending":
                workflow.rows[key].status = "skipped"
        if "count" in turn:
            join = workflow.rows[turn["join"]]
            join.item_count = turn["count"]
            if "window" in turn:
                join.remaining = turn["count"]
                join.next_item = min(turn["count"], turn["window"])

    def _follow(self, workflow: WorkflowRow, row: StepRow, finish: Finish) -> Advance:
        turn = finish.turn
        joining = row.join_key if turn is None else turn.get("settle")
        if joining is not None:
            ready = _settle_part(workflow.rows[joining])
        elif turn is not None and "release" in turn:
            ready = turn["release"]
        elif row.next_keys is not None:
            ready = row.next_keys
        elif workflow.status == "running":
            workflow.output, workflow.attention = finish.workflow_output, None
            self.end(workflow, "succeeded")
            return Advance("completed")
        else:
            ready = []
        self.memory.release(workflow, ready)
        if workflow.status != "running":
            return Advance("draining")
        return Advance("released", tuple(ready))

    def end(self, workflow: WorkflowRow, status: str) -> None:
        """Write the terminal status, and wake the step of the parent that waits for this child."""
        workflow.status, workflow.completed_at = status, self.memory.now()
        workflow.expires_at = None
        if workflow.parent is None:
            return
        parent, key = workflow.parent
        own = child_id(workflow.id)
        for row in (parent.rows[key], parent.rows.get(undo_of(key))):
            if row is not None and (row.status, row.external_id) == ("waiting", own):
                self.memory.wake(parent, row)

    def retry_step(
        self,
        claim: Claim,
        attempt: Attempt,
        error: Json,
        seconds: float,
        *,
        new_generation: bool,
        timeout: float | None = None,
        is_try: bool = True,
        is_turn: bool = False,
        attention: str | None = None,
    ) -> str:
        """See retry_step_v1."""
        workflow, row = self._row(claim)
        due = self.memory.now() + timedelta(seconds=seconds)
        if timeout is not None and row.started_at and row.started_at + timedelta(0, timeout) < due:
            return "timed_out"
        row.status, row.tries, row.error = "pending", row.tries + int(is_try), error
        row.generation += int(new_generation)
        self._wake_in(workflow, row, seconds)
        return _recorded(workflow)

    def leave_step(self, claim: Claim, attempt: Attempt, error: Json) -> str:
        """See leave_step_v1."""
        workflow, row = self._row(claim)
        row.status, row.error = claim.prior, error
        self._wake_in(workflow, row, _LEFT_SECONDS)
        return _recorded(workflow)

    def suspend_step(
        self, claim: Claim, attempt: Attempt, external_id: str, seconds: float, timeout: float
    ) -> str:
        """See suspend_step_v1. A child is not polled before the step's time-out, because its end
        wakes the step."""
        workflow, row = self._row(claim)
        row.status, row.external_id, row.error, row.tries = "waiting", external_id, None, 0
        now = self.memory.now()
        row.expires_at = row.expires_at or now + timedelta(seconds=timeout)
        until = now + timedelta(seconds=seconds)
        if row.action == CHILD:
            until = row.expires_at
        self.memory.wake_at(workflow, row, min(until, row.expires_at))
        return _recorded(workflow)

    def wait_step(self, claim: Claim, attempt: Attempt, wait: Suspend) -> str:
        """See wait_step_v1."""
        workflow, row = self._row(claim)
        row.status, row.external_id, row.error, row.tries = "waiting", wait.external_id, None, 0
        row.signal, row.event = wait.signal, wait.event
        self.memory.asked.update(wait.asked or ())
        assert wait.until is not None
        self.memory.wake_at(workflow, row, wait.until)
        if workflow.status == "compensating":
            return "draining"
        for number, at in enumerate(wait.remind, 1):
            self._remind_at(workflow, row, number, at)
        for early in workflow.deliveries:
            if early.external_id == wait.early and not early.is_consumed:
                self._take(workflow, row, early)
                return "woken"
        if any(self._give(event, workflow, row) for event in self.memory.events):
            return "woken"
        return "recorded"

    def _remind_at(self, workflow: WorkflowRow, row: StepRow, number: int, at: datetime) -> None:
        """See remind_approvals_v1. The alarm is set again each time that the approval waits."""

        def remind() -> None:
            row.reminded = number
            workflow.reminded.append((row.key, self.memory.now()))

        def is_wanted() -> bool:
            is_open = workflow.status == "running" and row.status == "waiting"
            return is_open and row.reminded < number

        self.memory.clock.at(at, remind, is_wanted)

    def receive(self, event: Incoming) -> None:
        """Wake the steps that wait for an event. One that does not wait yet may find it later."""
        number = len(self.memory.events)
        stored = Stored(
            id=UUID(int=number + 1), user_id=NO_USER, received_at=self.memory.now(), depth=0,
            **vars(event),
        )  # fmt: skip
        self.memory.events.append(stored)
        for workflow in list(self.memory.workflows.values()):
            for row in list(workflow.rows.values()):
                if workflow.status == "running" and row.status == "waiting":
                    self._give(stored, workflow, row)

    def _give(self, event: Stored, workflow: WorkflowRow, row: StepRow) -> bool:
        """Give an event to a waiting step, and return whether the step takes it."""
        wanted = row.event
        if wanted is None or wanted["type"] not in patterns(event.type):
            return False
        assert row.ready_at is not None
        if event.received_at < row.ready_at - timedelta(seconds=wanted["within_seconds"]):
            return False
        scope = {**wanted["given"], **event.scope}
        try:
            if wanted["filter"] is not None and not holds(wanted["filter"], scope):
                return False
        except ExpressionInvalid:
            return False
        payload = clean(event.scope["event"])
        workflow.deliveries.append(Delivery(row.external_id or "", payload, is_consumed=True))
        self.memory.wake(workflow, row)
        return True

    def signal(self, workflow: WorkflowRow, name: str, payload: Json) -> None:
        """See signal_workflow_v1."""
        if workflow.status != "running":
            return
        delivery = Delivery(signal_id(workflow.id, name), payload)
        workflow.deliveries.append(delivery)
        for row in sorted(workflow.rows.values(), key=lambda row: (row.position, row.key)):
            if row.status == "waiting" and row.signal == name:
                self._take(workflow, row, delivery)
                return

    def _take(self, workflow: WorkflowRow, row: StepRow, delivery: Delivery) -> None:
        delivery.external_id, delivery.is_consumed = row.external_id or "", True
        self.memory.wake(workflow, row)

    def doubt_step(
        self,
        claim: Claim,
        attempt: Attempt,
        error: Json,
        seconds: float,
        attention: str | None,
        *,
        was_sent: bool = True,
    ) -> str:
        """See doubt_step_v1."""
        workflow, row = self._row(claim)
        row.status, row.tries, row.error = "unknown", row.tries + int(was_sent), error
        if attention is not None:
            call_person(workflow, attention)
        else:
            self._wake_in(workflow, row, seconds)
        return _recorded(workflow)

    def fail_step(
        self,
        claim: Claim,
        attempt: Attempt,
        error: Json,
        *,
        is_holding: bool = False,
        pivot: str | None = None,
    ) -> str:
        """See fail_step_v1."""
        workflow, row = self._row(claim)
        row.status, row.error, row.tries = "failed", error, row.tries + 1
        workflow.failed[row.key] = row
        if row.undo:
            call_person(workflow, "compensation_failed")
            return "draining"
        if workflow.status == "running" and (is_holding or is_past(workflow, pivot)):
            call_person(workflow, "step_failed")
            return "recorded"
        stop(workflow, "failed", {**error, "step": row.key})
        return "draining"

    def cancel_step(self, claim: Claim, attempt: Attempt) -> str:
        """See cancel_step_v1."""
        _, row = self._row(claim)
        row.status = "cancelled"
        return "draining"

    def has_delivery(self, platform: str, external_id: str) -> bool:
        """Always false: with a single thread no delivery comes before its step waits for it."""
        return False

    def wake_step(self, workflow_id: UUID, key: str, platform: str, external_id: str) -> bool:
        """Always false: there is no early delivery that could wake the step."""
        return False

    def time_out(self, workflow: WorkflowRow) -> None:
        """Stop a workflow that has reached its time-out (see stop_workflow_v1).

        After its pivot (the step after which nothing is undone) it is only marked for attention.
        """
        workflow.expires_at = None
        if is_past(workflow, workflow.plan.pivot):
            call_person(workflow, "timed_out")
            return
        message = "the workflow took longer than its time-out"
        stop(workflow, "timed_out", {"code": "timed_out", "message": message})

    def stop_child(self, workflow: WorkflowRow) -> None:
        """Stop a child whose parent is undone (see reopen_child_v1 and stop_workflow_v1).

        Do nothing if the child's pivot has succeeded or was sent.
        """
        pivot = workflow.rows.get(workflow.plan.pivot or "")
        is_sent = pivot is not None and pivot.status in _SENT and bool(pivot.intents)
        if is_past(workflow, workflow.plan.pivot) or is_sent:
            return
        if workflow.status == "succeeded":
            workflow.status, workflow.completed_at = "running", None
        message = "the workflow that started it was stopped"
        stop(workflow, "cancelled", {"code": "parent_stopped", "message": message})

    def _row(self, claim: Claim) -> tuple[WorkflowRow, StepRow]:
        workflow = self.memory.workflows[claim.workflow_id]
        return workflow, workflow.rows[claim.key]

    def _wake_in(self, workflow: WorkflowRow, row: StepRow, seconds: float) -> None:
        self.memory.wake_at(workflow, row, self.memory.now() + timedelta(seconds=seconds))


_SENT = ("running", "waiting", "unknown")


def stop(workflow: WorkflowRow, cause: str, error: Json) -> None:
    """Stop a workflow if it is running, so that it is undone."""
    if workflow.status == "running":
        workflow.status, workflow.cause, workflow.error = "compensating", cause, error
        workflow.expires_at = None


def is_past(workflow: WorkflowRow, pivot: str | None) -> bool:
    """Whether the pivot has succeeded."""
    return pivot is not None and workflow.rows[pivot].status == "succeeded"


def call_person(workflow: WorkflowRow, reason: str) -> None:
    """Mark the workflow for attention (a person must look), unless it is marked already."""
    workflow.attention = workflow.attention or reason


def _recorded(workflow: WorkflowRow) -> str:
    return "draining" if workflow.status == "compensating" else "recorded"


def _settle_part(join: StepRow) -> list[str]:
    """See settle_parts_v1."""
    assert join.remaining is not None
    join.remaining -= 1
    item, count = join.next_item, join.item_count or 0
    join.next_item = min(count, item + 1) if item < count else item
    if join.remaining == 0:
        return [join.key]
    if join.next_item > item:
        return [item_key(join.key, item, head) for head in join.item_heads or ()]
    return []
