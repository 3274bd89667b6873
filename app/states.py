"""The state machines of workflows and steps, as two tables. `app/STATES.md` is made from them.

Invariant: the status of a row changes only by a transition in these tables. The change commits
together with one of the transition's events, unless the transition may be without an event.
"""

from dataclasses import dataclass

NEW = "[*]"
"""The state before a row exists, and the end after a terminal status."""

LEFT = (
    "the step is left to a worker of another release, or still waits for its budget, its platform's"
    " allowance, its user's share or its turn at a limit"
)


@dataclass(frozen=True)
class Transition:
    """One change of a status, from `before` to `after`."""

    before: str
    after: str
    why: str
    events: tuple[str, ...] = ()
    """The transition commits with an event of one of these types."""
    silent: str | None = None
    """When or why the transition commits without an event. None: it always has an event."""


def _of(before: str, after: str, why: str, *events: str, silent: str | None = None) -> Transition:
    return Transition(before, after, why, events, silent)


WORKFLOW_TRANSITIONS: tuple[Transition, ...] = (
    _of(NEW, "running", "it is started", "WorkflowStarted"),
    _of(NEW, "pending", "its start is deferred, or waits for flow control", "WorkflowDeferred"),
    _of("pending", "running", "its start is due and admitted", "WorkflowStarted"),
    _of(
        "pending", "compensating", "it is cancelled, or does not start in time", "WorkflowStopping"
    ),
    _of("running", "succeeded", "its last step has ended", "WorkflowSucceeded"),
    _of("running", "compensating", "it fails, times out or is cancelled", "WorkflowStopping"),
    _of("compensating", "running", "its pivot proves to have succeeded", "StopRefused"),
    _of("compensating", "compensated", "every effect is undone", "WorkflowCompensated"),
    _of("compensating", "cancelled", "cancelled with nothing to undo", "WorkflowCancelled"),
    _of("compensating", "failed", "failed with nothing to undo", "WorkflowFailed"),
    _of("succeeded", "compensating", "it is a child and its parent is undone", "WorkflowStopping"),
    _of("compensated", "compensating", "a compensation has failed later", "UndoFailed"),
)

STEP_TRANSITIONS: tuple[Transition, ...] = (
    _of(NEW, "pending", "the row is added (start, map item, loop turn, compensation)",
        "WorkflowStarted", "StepSucceeded", "StepCompensating", "OrphanFound"),
    _of(NEW, "succeeded", "a fork adopts it", "StepAdopted"),
    _of(NEW, "skipped", "a fork adopts it, or it is an orphan effect", "StepAdopted",
        "OrphanFound"),
    _of(NEW, "failed", "a fork adopts it with its tolerated failure", "StepAdopted"),
    _of("pending", "running", "a worker claims it", silent="a claim is a lease, not an event"),
    _of("unknown", "running", "a worker claims it to look up its call",
        silent="a claim is a lease, not an event"),
    _of("running", "succeeded", "it succeeds", "StepSucceeded", "StepCompensated"),
    _of("running", "skipped", "it is not wanted, or its failure is tolerated", "StepSkipped"),
    _of("running", "failed", "no retry can help or is left", "StepFailed"),
    _of("running", "pending", "it is retried, or its lease has expired", "StepRetryScheduled",
        "StepLeaseExpired", silent=LEFT),
    _of("running", "waiting", "it is suspended", "StepSuspended",
        silent="after a poll, the same wait goes on"),
    _of("running", "unknown", "its call may have happened", "StepOutcomeUnknown",
        silent="a lookup still cannot tell"),
    _of("running", "cancelled", "the workflow stops and its compensation takes over",
        "StepCancelled"),
    _of("waiting", "pending", "it is woken, polled, skipped or resolved", "StepWoken",
        "StepSkipRequested", "StepResolved", silent="a poll is due"),
    _of("cancelled", "pending", "the stop is refused because the pivot has succeeded",
        silent="the event StopRefused of the pivot says it"),
    _of("failed", "pending", "a person retries, skips or resolves it", "StepRetryRequested",
        "StepSkipRequested", "StepResolved"),
    _of("unknown", "pending", "a person says what became of its call", "StepResolved"),
    _of("failed", "succeeded", "a person declares the compensation done", "StepResolved"),
    _of("pending", "succeeded", "a person declares the compensation done", "StepResolved"),
    _of("waiting", "succeeded", "a person declares the compensation done", "StepResolved"),
    _of("unknown", "succeeded", "a person declares the compensation done", "StepResolved"),
    _of("waiting", "cancelled", "the workflow stops", "StepCancelled"),
    _of("pending", "cancelled", "the workflow stops", "StepCancelled",
        silent="the step never started"),
    _of("pending", "skipped", "its branch is not taken", "StepSucceeded", "StepSkipped",
        "StepFailed"),
    _of("succeeded", "compensated", "its compensation succeeds", "StepCompensated"),
    _of("cancelled", "compensated", "its compensation succeeds", "StepCompensated"),
    _of("skipped", "compensated", "its compensation succeeds", "StepCompensated"),
    _of("compensated", "succeeded", "its compensation has failed later", "UndoFailed"),
    _of("succeeded", "failed", "what a compensation did has failed later at the platform",
        "UndoFailed"),
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
        f"| {each.before} | {each.after} | {each.why} | {_events(each)} |" for each in transitions
    ]
    return "\n".join(["| from | to | why | event |", "|---|---|---|---|", *rows])


def _events(each: Transition) -> str:
    names = " or ".join(each.events)
    if each.silent is None:
        return names
    return f"{names}, or none: {each.silent}" if names else f"none: {each.silent}"


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

This file is generated from the tables in `app/states.py`. Tests compare the tables with the
transitions that the code makes.

## Workflow

`paused_at` and `attention` are columns beside the status. `pending` is reserved for starts that are
deferred. `suspended` is not stored: queries show it for a running workflow whose unfinished steps
all wait.

```mermaid
{workflow}
```

{workflow_table}

## Step

A compensation is a row of its own, `<key>~undo`, with the same states. Its success makes the
original `compensated`, unless the original is `failed`.

An orphan effect is an effect at a vendor that was made for a step, but is not the one that the step
recorded. It is a row `<key>~orphan[<external id>]` with a compensation of its own, which runs in
every status of the workflow, also after the workflow's end.

```mermaid
{step}
```

{step_table}
"""
