"""Rehearses a definition: runs all due steps, moves the clock to the next alarm, and repeats that
until nothing is left to do."""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from app.errors import InvalidInput
from app.payload import clean, whole_numbers
from app.platform import Json
from app.queries.human_tasks import of_unknown
from chains.actions import actions as real_actions
from chains.incoming.events import read_event
from chains.language.definition import Definition
from chains.language.schema import check_shape
from chains.plans.plan import Plan
from chains.plans.validation import definition_of, examine
from chains.prompts.body import PromptBody, stored_form
from chains.prompts.testing import run_tests
from chains.rehearsal.arrivals import Gate, Starts, arrivals_of
from chains.rehearsal.attempts import Attempts
from chains.rehearsal.clock import Clock
from chains.rehearsal.fakes import Fakes, seconds_of
from chains.rehearsal.memory import Memory, WorkflowRow
from chains.rehearsal.report import Run, run_of
from chains.running.reading import reading

STARTS_AT = datetime(2026, 1, 1, tzinfo=UTC)
MAX_ATTEMPTS = 100_000
_ROOT = UUID(int=1)

Body = Definition | Mapping[str, Any]
Signal = tuple[str, Json] | tuple[str, Json, float | str | timedelta]
Event = Json | tuple[Json, float | str | timedelta]
Users = Collection[str] | Callable[[list[str]], list[str]]


class Endless(RuntimeError):
    """Raised by `rehearse` if the rehearsal has not ended after MAX_ATTEMPTS attempts."""


def rehearse(
    body: Body,
    *,
    input: Json | None = None,
    actions: Mapping[str, Any] | None = None,
    undo: Mapping[str, Any] | None = None,
    signals: Iterable[Signal] = (),
    events: Iterable[Event] = (),
    definitions: Mapping[str, Body] | None = None,
    starts_at: datetime = STARTS_AT,
    users: Users | None = None,
    prompts: Mapping[str, Json] | None = None,
) -> Run:
    """Run a definition with fake actions until it ends, or until only a person can continue it.

    - `actions`: the fakes by action name. A fake is an output, an Outcome to raise, a function of
      the input, or a list of these, one for each attempt. An answer inside a Takes or a Suspends
      comes later, in virtual time. `control.*` actions really run, unless they have a fake.
    - `undo`: fakes for compensations, by the name of the action that is undone. Their functions
      receive an `app.platform.Undo`. A compensation without a fake succeeds.
    - `signals`: (name, payload) for a signal at the start, or (name, payload, time after the
      start). The name `step/name` addresses the child that the step starts.
    - `events`: the events that come in, as `POST /v1/events` takes them, at the start, or (event,
      time after the start). `source` and `id` may be left out. Steps that wait for them are woken;
      triggers are not looked for. `control.emit` emits events too.
    - `definitions`: the definitions of children by name; each is used for every version.
    - `users`: the addresses of the users who may approve, or a function of addresses that returns
      those which no user has, such as `app.queries.human_tasks.unknown_addresses`. The report warns
      of approvals that ask others.

    This does not check whether artifacts exist. Raise InvalidInput for a definition or an input
    that a server would refuse, FakeMissing if an action has no fake, and Endless.
    """
    real = real_actions()
    undoable = {name: action for name, action in real.items() if action.compensate is not None}
    known = _compiled([body, *(definitions or {}).values()], list(definitions or {}))
    bodies = {name: _stored(each) for name, each in (prompts or {}).items()}
    root = next(iter(known))
    given = clean(whole_numbers(input or {}))
    check_shape(known[root][0].input_schema, given)
    memory = Memory(Clock(starts_at), known, bodies)
    undo_fakes = Fakes("undo", undo or {}, undoable)
    attempts = Attempts(memory, Fakes("actions", actions or {}, real), undo_fakes)
    with reading(memory):
        attempts.started = _Signals(attempts, signals).begin
        workflow = memory.start(_ROOT, root, given)
        attempts.started(workflow)
        for number, event in enumerate(events, 1):
            _send(attempts, number, *(event if isinstance(event, tuple) else (event, 0.0)))
        _play(memory, attempts)
    return run_of(memory, workflow, attempts.calls, _warnings(sorted(memory.asked), users))


def _stored(given: Json) -> Json:
    """The stored form of a prompt's body; raise InvalidInput if a server would refuse it."""
    try:
        body = stored_form(PromptBody.model_validate(given))
    except ValidationError as err:
        fault = err.errors(include_url=False, include_input=False)[0]
        place = "/" + "/".join(map(str, fault["loc"]))
        raise InvalidInput(f"{place}: {fault['msg']}", field=place) from err
    run_tests(body)
    return body


def _send(attempts: Attempts, number: int, event: Json, after: float | str | timedelta) -> None:
    """Receive an event, or schedule that; raise InvalidInput if it is wrong."""
    incoming = read_event({"source": "rehearsal", "id": str(number), **event})
    clock = attempts.memory.clock
    if seconds_of(after) <= 0:
        attempts.writer.receive(incoming)
    else:
        at = clock.now + timedelta(seconds=seconds_of(after))
        workflows = attempts.memory.workflows
        clock.at(
            at,
            lambda: attempts.writer.receive(incoming),
            lambda: any(each.status == "running" for each in workflows.values()),
        )


def rehearse_starts(
    body: Body,
    arrivals: Iterable[tuple[float | str | timedelta, Json]] = (),
    *,
    schedule: Mapping[str, Any] | None = None,
    until: float | str | timedelta = "1d",
    starts_at: datetime = STARTS_AT,
) -> Starts:
    """Say when the workflows of a definition begin by its flow control, and with which input.

    - `arrivals`: the requests, as pairs (time after the start of the rehearsal, input).
    - `schedule`: a schedule with `spec` and `input`, as in its file, which makes further arrivals
      at its times `until` then. It may have no calendar.

    Workflows take no time here: limits of concurrency and singletons hold nothing back. The inputs
    of the result can be given to `rehearse`. Raise InvalidInput for a definition that a server
    would refuse, InvalidSpec for such a schedule, and ValueError for more than 10,000 arrivals.
    """
    ((definition, _),) = _compiled([body], []).values()
    gate = Gate(definition, starts_at)
    return gate.starts(arrivals_of(arrivals, schedule, until, starts_at))


def _warnings(asked: list[str], users: Users | None) -> list[str]:
    """What a start on a server would warn of, and what this rehearsal cannot know."""
    if not asked:
        return []
    if users is None:
        named = ", ".join(asked)
        unchecked = (
            f"approvals ask {named}; the rehearsal was given no users, so it cannot tell whether"
            " they exist: pass `users`"
        )
        return [unchecked]
    if callable(users):
        unknown = users(asked)
    else:
        known = {address.strip().casefold() for address in users}
        unknown = [address for address in asked if address.casefold() not in known]
    return [of_unknown(unknown)] if unknown else []


def _compiled(bodies: list[Body], names: list[str]) -> dict[str, tuple[Definition, Plan]]:
    """The definitions and their plans by name, the root first.

    `names` are the names of the children, in the order of `bodies` after the root.
    """
    found: dict[str, tuple[Definition, Plan]] = {}
    for number, body in enumerate(bodies):
        raw = body.body() if isinstance(body, Definition) else dict(body)
        definition = definition_of({"name": names[number - 1], **raw} if number else raw)
        name = names[number - 1] if number else definition.name
        found[name] = (definition, examine(definition, real_actions()))
    return found


class _Signals:
    """Sends the given signals to the workflows that they address."""

    def __init__(self, attempts: Attempts, signals: Iterable[Signal]) -> None:
        self.attempts = attempts
        self.clock = attempts.memory.clock
        self.starts_at = self.clock.now
        self.signals = list(signals)

    def begin(self, workflow: WorkflowRow) -> None:
        """Send or schedule the signals of a workflow that starts now."""
        for signal in self.signals:
            path, _, name = signal[0].rpartition("/")
            if path == workflow.path:
                after = signal[2] if len(signal) == 3 else 0.0
                self._send(workflow, name, signal[1], seconds_of(after))

    def _send(self, workflow: WorkflowRow, name: str, payload: Json, after: float) -> None:
        at = self.starts_at + timedelta(seconds=after)
        writer = self.attempts.writer
        if at <= self.clock.now:
            writer.signal(workflow, name, clean(payload))
        else:
            self.clock.at(
                at,
                lambda: writer.signal(workflow, name, clean(payload)),
                lambda: workflow.status == "running",
            )


def _play(memory: Memory, attempts: Attempts) -> None:
    count = 0
    while memory.ready or _pass_time(memory, attempts):
        due, memory.ready = memory.ready, []
        due.sort(key=lambda each: (each[0].number, each[1].undo, each[1].position, each[1].key))
        for workflow, row in due:
            attempts.run(workflow, row)
        count += len(due)
        if count > MAX_ATTEMPTS:
            raise Endless(f"{MAX_ATTEMPTS} attempts were made; is there a retry without a limit?")


def _pass_time(memory: Memory, attempts: Attempts) -> bool:
    """Move the clock to the next alarm or workflow time-out; return False if there is no alarm."""
    at = memory.clock.next_at()
    if at is None:
        return False
    ending = [each for each in memory.workflows.values() if each.expires_at is not None]
    first = min(ending, key=lambda each: each.expires_at or at, default=None)
    if first is None or first.expires_at is None or first.expires_at > at:
        memory.clock.jump()
        return True
    memory.clock.now = first.expires_at
    attempts.time_out(first)
    return True
