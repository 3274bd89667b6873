"""The state machines of workflow and step, as one table: `app/STATES.md` is drawn from it.

Invariant: no row changes its status but by a transition of this table, and a transition that is an
outcome commits with one of its events.
"""

from dataclasses import dataclass

NEW = "[*]"
"""Where a row comes from, and where a terminal status leads."""

LEFT = "left to a worker of another release"

RESERVED_WORKFLOW_STATUSES = frozenset({"pending"})
"""Kept for starts that are deferred; nothing leads there yet."""


@dataclass(frozen=True)
class Transition:
    """`events`: the types of which one marks it; `silent`: when it commits without one."""

    before: str
    after: str
    why: str
    events: tuple[str, ...] = ()
    silent: str | None = None


def _of(before: str, after: str, why: str, *events: str, silent: str | None = None) -> Transition:
    return Transition(before, after, why, events, silent)


WORKFLOW_TRANSITIONS: tuple[Transition, ...] = (
    _of(NEW, "running", "start", "WorkflowStarted"),
    _of("running", "succeeded", "its last step is done", "WorkflowSucceeded"),
    _of("running", "compensating", "failure, time-out, cancel", "WorkflowStopping"),
    _of("compensating", "running", "its pivot had happened", "StopRefused"),
    _of("compensating", "compensated", "all is undone", "WorkflowCompensated"),
    _of("compensating", "cancelled", "cancelled, nothing to undo", "WorkflowCancelled"),
    _of("compensating", "failed", "failed, nothing to undo", "WorkflowFailed"),
    _of("succeeded", "compensating", "a child, undone with its parent", "WorkflowStopping"),
)

STEP_TRANSITIONS: tuple[Transition, ...] = (
    _of(NEW, "pending", "start, an item, a turn, an undo", "WorkflowStarted", "StepSucceeded",
        "StepCompensating", "OrphanFound"),
    _of(NEW, "succeeded", "adopted by a fork", "StepAdopted"),
    _of(NEW, "skipped", "adopted by a fork, or an orphan effect", "StepAdopted", "OrphanFound"),
    _of(NEW, "failed", "adopted by a fork, tolerated there too", "StepAdopted"),
    _of("pending", "running", "claim", silent="a claim is a lease"),
    _of("unknown", "running", "claim, to look it up", silent="a claim is a lease"),
    _of("running", "succeeded", "done", "StepSucceeded", "StepCompensated"),
    _of("running", "skipped", "not wanted, or a failure passed over", "StepSkipped"),
    _of("running", "failed", "for good", "StepFailed"),
    _of("running", "pending", "try again, or its lease expired", "StepRetryScheduled",
        "StepLeaseExpired", silent=LEFT),
    _of("running", "waiting", "suspended", "StepSuspended", silent="the same wait again"),
    _of("running", "unknown", "the call may have happened", "StepOutcomeUnknown",
        silent="the same doubt again"),
    _of("running", "cancelled", "left to its compensation", "StepCancelled"),
    _of("waiting", "pending", "woken, time to ask, or to be passed over", "StepWoken",
        "StepSkipRequested", silent="a poll"),
    _of("cancelled", "pending", "the stop was refused: the pivot had happened",
        silent="the pivot's StopRefused tells it"),
    _of("failed", "pending", "a person: again, or passed over", "StepRetryRequested",
        "StepSkipRequested", "StepResolved"),
    _of("unknown", "pending", "a person's word", "StepResolved"),
    _of("failed", "succeeded", "a compensation declared done", "StepResolved"),
    _of("pending", "succeeded", "a compensation declared done", "StepResolved"),
    _of("waiting", "cancelled", "stop", "StepCancelled"),
    _of("pending", "cancelled", "stop", "StepCancelled", silent="it never began"),
    _of("pending", "skipped", "a way not taken", "StepSucceeded", "StepSkipped", "StepFailed"),
    _of("succeeded", "compensated", "undone", "StepCompensated"),
    _of("cancelled", "compensated", "undone", "StepCompensated"),
    _of("skipped", "compensated", "undone", "StepCompensated"),
)  # fmt: skip

TERMINAL_STEP_STATUSES = ("succeeded", "failed", "skipped", "cancelled", "compensated")


def diagram(transitions: tuple[Transition, ...], terminal: tuple[str, ...]) -> str:
    """The transitions as a Mermaid state diagram."""
    lines = [f"    {each.before} --> {each.after}: {each.why}" for each in transitions]
    lines += [f"    {status} --> {NEW}" for status in terminal]
    return "\n".join(["stateDiagram-v2", *lines])


def table(transitions: tuple[Transition, ...]) -> str:
    """The transitions with their events as a Markdown table."""
    rows = [
        f"| {each.before} | {each.after} | {each.why} | {_marks(each)} |" for each in transitions
    ]
    return "\n".join(["| from | to | why | event |", "|---|---|---|---|", *rows])


def _marks(each: Transition) -> str:
    marks = " or ".join(each.events)
    if each.silent is None:
        return marks
    return f"{marks}; none: {each.silent}" if marks else f"none: {each.silent}"


def document(terminal_workflow_statuses: tuple[str, ...]) -> str:
    """The text of `app/STATES.md`."""
    return _DOCUMENT.format(
        workflow=diagram(WORKFLOW_TRANSITIONS, terminal_workflow_statuses),
        workflow_table=table(WORKFLOW_TRANSITIONS),
        step=diagram(STEP_TRANSITIONS, TERMINAL_STEP_STATUSES),
        step_table=table(STEP_TRANSITIONS),
    )


_DOCUMENT = """\
# The state machines

Drawn from the tables in `app/states.py`; tests hold the tables against what the code does.

## Workflow

`paused_at` and `attention` are columns beside the status. `suspended` is computed: all that is left
of a running workflow waits. `pending` is kept for starts that are deferred.

```mermaid
{workflow}
```

{workflow_table}

## Step

A compensation is a row of its own, `<key>~undo`, with the same states; its success makes the
original `compensated`, unless that is `failed`. An orphan effect (it works at a vendor for a step
and is not the step's own) is a row `<key>~orphan[<external id>]` with such a compensation, which
runs whatever its workflow does, also after its end.

```mermaid
{step}
```

{step_table}
"""
