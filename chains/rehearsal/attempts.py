"""Runs the attempts of steps in a rehearsal.

As in a worker, a step is claimed and prepared, its action runs, and the outcome is recorded. Only
the action is replaced by a fake.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from app.engine.attempt import checked_input
from app.engine.call import Call
from app.engine.moves import Moves, Result, ended, finish_of
from app.engine.outcome_writer import record
from app.engine.prepared import Prepared
from app.errors import Outcome, Permanent, Retryable, Suspend
from app.payload import clean
from app.platform import Action, Effect, Intent, Json, Undo
from app.protocol.claims import Claim
from app.protocol.outcomes import Attempt
from chains.actions import actions
from chains.incoming.emitting import EmitInput, event_of
from chains.language.schema import check_shape
from chains.plans.plan import BRANCHING, CHILD, JOIN
from chains.rehearsal.fakes import FakeMissing, Fakes, Suspends, Takes, answer_of, seconds_of
from chains.rehearsal.memory import NO_USER, Memory, StepRow, WorkflowRow
from chains.rehearsal.outcomes import MemoryOutcomes
from chains.rehearsal.settling import settle
from chains.running.prepare import prepare
from chains.running.shape_actions import child_action
from chains.starting.children import MAX_DEPTH

_NOTHING = Attempt(None, 0, [])
_NO_FENCE = UUID(int=0)
"""The fence (the id of a claim) of every claim; a rehearsal has none."""


class RehearsedCall(Call):
    """The `Call` that an action receives in a rehearsal; effects and signals are kept in memory."""

    def __init__(self, claim: Claim, action: Action, workflow: WorkflowRow, row: StepRow) -> None:
        super().__init__(claim, action)
        self.workflow = workflow
        self.row = row

    @property
    def is_rehearsed(self) -> bool:
        """True."""
        return True

    def deliveries(self, external_id: str | None = None) -> list[Json]:
        """The signals, or the event, that the step has taken.

        A signal without a sender gets one: the first person who may decide.
        """
        given = self.row.input or {}
        sender = {"by": (given["by"] or ["owner@example.com"])[0]} if "by" in given else {}
        return [
            {**sender, **delivery.payload}
            for delivery in self.workflow.deliveries
            if delivery.external_id == external_id
        ]

    def open_intents(self) -> list[Intent]:
        """None: in a rehearsal the platform's answer always arrives."""
        return []

    def once(
        self,
        operation: str,
        request: Json,
        perform: Callable[[Json, str], Json],
        *,
        is_last: bool = False,
    ) -> Json:
        """Make an effect and return its response; a later attempt gets the recorded response."""
        for intent in self.row.intents:
            if intent.operation == operation and intent.response is not None:
                return intent.response
        self.note(operation, request, None)
        response = perform(request, "")
        self.note(operation, request, response)
        return response

    def note(self, operation: str, request: Json, response: Json | None) -> None:
        """Record an effect: with None as response before it is made, and then with its response."""
        number = len(self.row.intents)
        at = self.workflow.started_at
        intent = Intent(number, self.generation, operation, request, "", at, None, response)
        self.row.intents.append(intent)


class Attempts:
    """Runs the attempts of a rehearsal; `calls` contains (action, input) of each call of a fake."""

    def __init__(self, memory: Memory, fakes: Fakes, undo_fakes: Fakes) -> None:
        self.memory = memory
        self.fakes = fakes
        self.undo_fakes = undo_fakes
        self.writer = MemoryOutcomes(memory)
        self.calls: list[tuple[str, Any]] = []
        self.started: Callable[[WorkflowRow], None] = lambda _: None
        self._actions = {**actions(), CHILD: child_action(self._start, self._stop)}

    def run(self, workflow: WorkflowRow, row: StepRow) -> None:
        """Run one attempt if the step can be claimed.

        Raise FakeMissing if a fake is missing.
        """
        claim = _claim(workflow, row, self.memory)
        if claim is None:
            return
        row.status, row.wake_at = "running", None
        row.started_at = row.started_at or self.memory.now()
        call = RehearsedCall(claim, self._actions[row.action], workflow, row)
        prepared: Prepared | None = None
        try:
            prepared = prepare(claim)
            if prepared.is_recorded and row.input is None:
                row.input = prepared.input
            call.is_other_action = prepared.is_other_action
            if prepared.fault is not None:
                raise prepared.fault
            answer = self._answer(call, prepared)
        except Outcome as err:
            self._record(call, ended(err, call, prepared, _NOTHING))
            return
        if isinstance(answer, Takes):
            self._later(call, prepared, answer)
        elif isinstance(answer, Result):
            self._record(call, answer)
        else:
            self._close(call, prepared, answer)

    def _later(self, call: RehearsedCall, prepared: Prepared, answer: Takes) -> None:
        """Set an alarm that ends the attempt when its answer comes, or at its time-out."""
        bound = min(call.action.attempt_seconds, prepared.attempt_seconds or float("inf"))
        seconds, found = seconds_of(answer.duration), answer.answer
        if seconds > bound:
            late = Retryable("the attempt timed out", code="attempt_timed_out")
            seconds, found = bound, late
        at = self.memory.now() + timedelta(seconds=seconds)
        self.memory.clock.at(at, lambda: self._arrive(call, prepared, found))

    def _arrive(self, call: RehearsedCall, prepared: Prepared, answer: Any) -> None:
        try:
            found = answer_of(answer, prepared.input)
        except Outcome as err:
            self._record(call, ended(err, call, prepared, _NOTHING))
        else:
            self._close(call, prepared, found)

    def _close(self, call: RehearsedCall, prepared: Prepared, answer: Any) -> None:
        status = "skipped" if prepared.is_skipped else "succeeded"
        try:
            finish = finish_of(prepared, status, clean(answer))
            result = Result(Moves.FINISH, _NOTHING, prepared=prepared, finish=finish)
        except Outcome as err:
            result = ended(err, call, prepared, _NOTHING)
        self._record(call, result)

    def _record(self, call: RehearsedCall, result: Result) -> None:
        advance = record(call.claim, result, fraction=0.0, writer=self.writer)
        if advance.verdict in {"draining", "undone"}:
            settle(self.writer, call.workflow)

    def _answer(self, call: RehearsedCall, prepared: Prepared) -> Any:
        row, name = call.row, call.action.name
        if prepared.is_skipped:
            return None
        if name not in BRANCHING and name != JOIN and not row.undo:
            call.workflow.ran.setdefault(row.key)
        if row.promise is None and not _is_wake(call.claim):
            row.attempts += 1
        if call.is_compensating:
            return self._undo(call)
        if call.claim.prior == "unknown":
            found = _looked_up(call)
            if found is not None:
                return found
        given = checked_input(call.action, prepared.input)
        if name == "control.sleep" and name not in self.fakes:
            slept = given.model_dump()
            return Takes(slept["seconds"], slept)
        if isinstance(given, EmitInput) and name not in self.fakes:
            # No trigger takes the event, but steps may wait for it.
            self.writer.receive(event_of(call, given))
            return {"event_id": str(uuid5(call.workflow_id, call.step_key))}
        if call.action.platform == "control" and name not in self.fakes:
            return call.action.run(call, given)
        return self._fake(call, prepared.input)

    def _fake(self, call: RehearsedCall, given: Json) -> Any:
        name = call.action.name

        def ask() -> Any:
            self.calls.append((name, given))
            if call.action.platform != "control":
                call.note(name, given, None)
            return self.fakes.answer(name, call.row.key, given)

        return self._promised(call.row, ask, given)

    def _promised(self, row: StepRow, ask: Callable[[], Any], given: Any) -> Any:
        """The fake's answer; raise Suspend while the answer has not come (see Suspends)."""
        if row.promise is None:
            answer = ask()
            if not isinstance(answer, Suspends):
                return answer
            seconds = seconds_of(answer.duration)
            row.promise = self.memory.now() + timedelta(seconds=seconds), answer.answer
        at, answer = row.promise
        left = (at - self.memory.now()).total_seconds()
        if left > 0:
            raise Suspend(f"fake:{row.key}", poll_seconds=left)
        row.promise = None
        return answer_of(answer, given)

    def _undo(self, call: RehearsedCall) -> Any:
        name, original = call.action.name, call.workflow.rows[call.original_key]
        undone = Undo(
            original.key,
            original.status,
            original.input,
            original.output,
            original.external_id,
            tuple(original.intents),
        )
        if name in self.undo_fakes:
            fakes = self.undo_fakes
            return self._promised(
                call.row, lambda: fakes.answer(name, call.row.key, undone), undone
            )
        if name != CHILD:
            return {}
        assert call.action.compensate is not None
        return call.action.compensate(call, undone)

    def time_out(self, workflow: WorkflowRow) -> None:
        """Stop a workflow that has reached its time-out, and settle it."""
        self.writer.time_out(workflow)
        settle(self.writer, workflow)

    def _start(self, call: Call, request: Json) -> UUID:
        """Start a child and return its id, like `start` of chains/starting/children.py."""
        parent = self.memory.workflows[call.workflow_id]
        if _depth(parent) >= MAX_DEPTH:
            raise Permanent(f"children may be at most {MAX_DEPTH} levels deep", code="too_deep")
        type = request["type"]
        if type not in self.memory.definitions:
            raise FakeMissing(
                f"step {call.step_key!r} starts a workflow {type!r}:"
                f' add definitions={{"{type}": ...}} with its body'
            )
        check_shape(self.memory.definitions[type][0].input_schema, request["input"])
        child = uuid5(call.workflow_id, f"{call.step_key}/child")
        origin = (parent, call.step_key)
        self.started(self.memory.start(child, type, request["input"], origin))
        return child

    def _stop(self, parent: UUID, step_key: str) -> list[UUID]:
        """Stop a step's children; return their ids (see `stop` in chains/starting/children.py)."""
        owner = self.memory.workflows[parent]
        children = [
            each
            for each in self.memory.workflows.values()
            if each.parent and each.parent[0] is owner and each.parent[1] == step_key
        ]
        for child in children:
            self.writer.stop_child(child)
            settle(self.writer, child)
        return [child.id for child in children]


def _depth(workflow: WorkflowRow) -> int:
    return 0 if workflow.parent is None else 1 + _depth(workflow.parent[0])


def _claim(workflow: WorkflowRow, row: StepRow, memory: Memory) -> Claim | None:
    """The claim of a step if it may run now, otherwise None; it decides like claim_step_v1."""
    if row.status not in {"pending", "unknown"}:
        return None
    if row.wake_at is not None and row.wake_at > memory.now():
        return None
    is_stopping = workflow.status == "compensating"
    is_allowed = row.undo or row.status == "unknown" if is_stopping else not row.undo
    if not is_allowed or workflow.completed_at is not None:
        return None
    return Claim(
        workflow_id=workflow.id,
        key=row.key,
        fence=_NO_FENCE,
        prior=row.status,
        tries=row.tries,
        generation=row.generation,
        external_id=row.external_id,
        input=row.input,
        item=row.item,
        expired=row.expires_at is not None and row.expires_at <= memory.now(),
        undo=row.undo,
        stopping=is_stopping,
        skips=False,
        user_id=NO_USER,
        type=workflow.type,
        version=1,
    )


def _is_wake(claim: Claim) -> bool:
    """Whether the attempt follows a wait; a wait sets the number of tries to 0."""
    return claim.external_id is not None and claim.tries == 0


def _looked_up(call: RehearsedCall) -> Result | None:
    """The result for a call whose answer was lost; None if the call is sent again.

    In a rehearsal a lookup (asking the platform whether a call took effect) always finds that the
    call never happened. If the action has neither a lookup nor an idempotency key, the workflow is
    marked for attention.
    """
    action, claim = call.action, call.claim
    contract = action.contract(call.row.input or {})
    if contract.effect is Effect.LOOKUP:
        call.row.intents.clear()
        if claim.tries >= action.tries and not claim.stopping:
            raise Permanent(
                f"{action.name} was sent {claim.tries} times and never took effect",
                code="never_took_effect",
            )
    if claim.stopping:
        return Result(Moves.CANCEL, _NOTHING)
    if contract.effect is not Effect.PERSON:
        return None
    error = {"code": "unknown_outcome", "message": "this call cannot be looked up"}
    return Result(Moves.DOUBT, _NOTHING, error=error, attention="unknown_outcome", was_sent=False)
