"""Folds events and compares the result with the rows of `workflows` and `steps`. Writes nothing.

The events and the rows of a workflow are read in one snapshot. Columns of leases and of dispatching
are not compared. A payload is compared by its hash, unless it was erased. A running step counts as
pending.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from psycopg2.extras import NamedTupleCursor

from app import db
from app.keys import is_undo, undone_by
from app.record import verification
from app.record.verification import Span, Tally
from chains import registry
from chains.plans.plan import Plan
from chains.repair.expected import Bounds, Expected, ExpectedStep, ExpectedWorkflow
from chains.repair.fold import fold

PlanOf = Callable[[str, int], Plan]

_EMPTY = hashlib.sha256(b"{}").hexdigest()
"""The hash of `{}`. An event without a hash agrees with a row whose payload is NULL or `{}`."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A field in which a row differs from the events; `step` is None for the workflow's own row."""

    workflow: UUID
    step: str | None
    field: str
    event_says: str
    row_says: str


@dataclass(frozen=True)
class _Row:
    """The row of a step. `input` and `output` are hashes, or None if there is no payload."""

    key: str
    action: str
    status: str
    undo: bool
    tries: int
    claims: int
    cost: int
    generation: int
    external_id: str | None
    code: str | None
    input: str | None
    output: str | None


_WORKFLOWS = """
SELECT id, type, version, status, cause, attention IS NOT NULL AS attention,
       paused_at IS NOT NULL AS is_paused, payload_hash(input) AS input,
       payload_hash(output) AS output, started_at IS NOT NULL AS is_started,
       completed_at IS NOT NULL AS is_completed
  FROM workflows WHERE id > %s AND id <= %s ORDER BY id
"""
_STEPS = """
SELECT workflow_id, key, action, status, kind IN ('undo', 'orphan_undo'), tries, claims,
       coalesce(cost, 0), generation, external_id, error_code, payload_hash(input),
       payload_hash(output)
  FROM steps WHERE workflow_id > %s AND workflow_id <= %s ORDER BY workflow_id
"""


def differences(
    only: UUID | None = None, tally: Tally | None = None, plan_of: PlanOf = registry.plan
) -> Iterator[Difference]:
    """The differences between rows and events, of the workflow `only`, or of all workflows.

    `tally` counts the workflows and events that are read. `plan_of` returns the plan of a version.
    """
    tally = Tally() if tally is None else tally
    with db.snapshots(application="playalter-events") as connection:
        for span in verification.spans(connection, only):
            yield from _in_span(connection, span, tally, plan_of)


def _in_span(connection: Any, span: Span, tally: Tally, plan_of: PlanOf) -> Iterator[Difference]:
    with connection.cursor(cursor_factory=NamedTupleCursor) as cursor:
        cursor.execute(_WORKFLOWS, (span.after, span.last))
        workflows = cursor.fetchall()
    bodies = _Groups(verification.rows(connection, "events", verification.EVENTS, span))
    steps = _Groups(verification.rows(connection, "steps", _STEPS, span))
    for workflow in workflows:
        tally.workflows += 1
        events = (_body(row[2], tally) for row in bodies.of(workflow.id))
        rows = (_Row(*row[1:]) for row in steps.of(workflow.id))
        for found in _compare(events, workflow, rows, plan_of, tally):
            yield Difference(workflow.id, *found)


class _Groups:
    """Groups of rows by workflow, read in the order of the workflow ids, one group at a time."""

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._groups = groupby(rows, key=itemgetter(0))
        self._next = next(self._groups, None)

    def of(self, workflow: UUID) -> Iterator[tuple[Any, ...]]:
        """The rows of this workflow. Rows of workflows with lower ids are skipped."""
        while self._next is not None and self._next[0] < workflow:
            self._next = next(self._groups, None)
        if self._next is not None and self._next[0] == workflow:
            yield from self._next[1]
            self._next = next(self._groups, None)


def _body(text: str, tally: Tally) -> Any:
    tally.events += 1
    return json.loads(text)


_Found = tuple[str | None, str, str, str]


def _compare(
    events: Iterator[Any], workflow: Any, rows: Iterable[_Row], plan_of: PlanOf, tally: Tally
) -> Iterator[_Found]:
    try:
        expected = _fold(events, plan_of)
    except (LookupError, TypeError, ValueError, AttributeError) as err:
        # An event was forged, or the first event or the definition is missing. The command
        # `playalter events verify` says more.
        yield None, "events", f"cannot be folded: {err!r}", "-"
        return
    yield from _workflow(expected.workflow, workflow)
    tally.gone += workflow.output is None and expected.workflow.output is not None
    for key, kind in expected.strays:
        yield key, "row", f"{kind} of a row that cannot exist", "-"
    steps = dict(expected.steps)
    for row in rows:
        step = steps.pop(row.key, None)
        if step is not None:
            tally.gone += row.output is None and step.output is not None
            for name, event_says, row_says in _step(step, row, expected):
                yield row.key, name, event_says, row_says
        elif not _is_undo_begun(row, expected):
            yield row.key, "row", "none", row.status
    for key, step in steps.items():
        yield key, "row", step.status, "none"


def _fold(events: Iterator[Any], plan_of: PlanOf) -> Expected:
    first = next(events, None)
    if first is None or first["type"] not in {"WorkflowStarted", "WorkflowDeferred"}:
        raise LookupError("the first event is missing")
    plan = plan_of(str(first["data"]["workflow_type"]), int(first["data"]["version"]))
    return fold(chain([first], events), plan)


def _workflow(expected: ExpectedWorkflow, row: Any) -> Iterator[_Found]:
    pairs: list[tuple[str, Any, Any]] = [
        ("type", expected.type, row.type),
        ("version", expected.version, row.version),
        ("status", expected.status, row.status),
        ("cause", expected.cause, row.cause),
        ("attention", _set(expected.attention is not None), _set(row.attention)),
        ("paused_at", _set(expected.is_paused), _set(row.is_paused)),
        ("started_at", _set(expected.is_started), _set(row.is_started)),
        ("completed_at", _set(expected.is_completed), _set(row.is_completed)),
        ("input", expected.input or _EMPTY, row.input),
    ]
    if row.output is not None:
        pairs.append(("output", expected.output or _EMPTY, row.output))
    for name, event_says, row_says in pairs:
        if event_says != row_says:
            yield None, name, _text(event_says), _text(row_says)


def _is_undo_begun(row: _Row, expected: Expected) -> bool:
    """Whether the row is a compensation that has just started. It may have no event yet."""
    original = expected.steps.get(undone_by(row.key))
    return (
        row.undo
        and is_undo(row.key)
        and expected.workflow.status == "compensating"
        and original is not None
        and row.tries == 0
        and row.status in {"pending", "running"}
    )


def _step(step: ExpectedStep, row: _Row, expected: Expected) -> Iterator[tuple[str, str, str]]:
    if step.action is not None and row.action != step.action:
        yield "action", step.action, row.action
    if not step.may_be(row.status, row.code) and not _is_cancelled_unbegun(step, row, expected):
        yield "status", step.status, "pending" if row.status == "running" else row.status
    is_running = row.status == "running"
    bounds: list[tuple[str, Bounds, int]] = [
        ("tries", step.tries_by_now(), row.tries),
        # A running attempt books the costs of its effects before its end.
        ("cost", Bounds(step.cost.low, None) if is_running else step.cost_by_now(), row.cost),
        ("generation", step.generation, row.generation),
    ]
    for name, bound, number in bounds:
        if number not in bound:
            yield name, str(bound), str(number)
    if row.external_id != step.external_id:
        yield "external_id", _text(step.external_id), _text(row.external_id)
    # A payload may have been erased. If it exists, it must be the one that was recorded.
    if row.output is not None and row.output != (step.output or _EMPTY):
        yield "output", step.output or _EMPTY, row.output
    if step.input is not None and row.input is not None and row.input != step.input:
        yield "input", step.input, row.input


def _is_cancelled_unbegun(step: ExpectedStep, row: _Row, expected: Expected) -> bool:
    """Whether a stop cancelled a step that was never claimed.

    Such a step has no event of its own, only the event of the stop.
    """
    is_stopping = expected.workflow.status == "compensating"
    return is_stopping and (step.status, row.status, row.claims) == ("pending", "cancelled", 0)


def _set(is_set: bool) -> str:
    return "set" if is_set else "not set"


def _text(value: object) -> str:
    return "none" if value is None else str(value)
