"""The models of a definition, whether it was written in Python or sent as JSON.

These models check the shape of each node. `chains/plans/layout.py` and `chains/plans/scopes.py`
check the references between nodes; `chains/plans/validation.py` checks the inputs of actions.
"""

import hashlib
import json
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, StrictBool, Tag, model_validator

from chains.language.flow import Flow
from chains.language.retention import Retention
from chains.language.scalars import LONGEST_SECONDS as LONGEST_SECONDS
from chains.language.scalars import (
    ActionName,
    DefinitionNode,
    Duration,
    Expression,
    Key,
    Reference,
)
from chains.language.scalars import parse_duration as parse_duration

MAX_ITEMS = 5000
MAX_TURNS = 1000
MOST_REMINDERS = 10
LONGEST_UNANSWERED = 30 * 86400.0
"""The default of the `timeout` of an approval, and of a wait for an event."""


class Retry(DefinitionNode):
    """How a step is retried.

    A step has `tries` attempts in all. The first wait is `backoff`; each further wait is `factor`
    times longer, up to `cap`. Each wait is shortened by a random share of at most `jitter` (0 to
    1). `on` lists the error codes that are retried; by default every retryable error is retried.
    """

    tries: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = None
    backoff: Duration | None = None
    factor: Annotated[float, Field(ge=1, le=10, allow_inf_nan=False, strict=True)] | None = None
    cap: Duration | None = None
    jitter: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)] | None = None
    on: Annotated[tuple[str, ...], Field(min_length=1, max_length=50)] | None = None


class Default(DefinitionNode):
    """If the step fails, the workflow continues, with `default` as the output of the step."""

    default: Any


class OtherAction(DefinitionNode):
    """Another action that compensates (undoes) the step; `with` is the input of that action."""

    action: ActionName
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")


class Step(DefinitionNode):
    """One call of an action.

    `timeout` limits the time from the first attempt to the end of the step, `attempt_timeout` the
    time of each attempt (each is a duration, or a reference to one). The step is skipped if `when`
    is false. `pivot` marks the last step whose failure undoes the workflow: after its success
    nothing is undone.
    """

    step: Key
    action: ActionName
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    when: Expression | None = None
    retry: Retry | None = None
    timeout: Duration | Reference | None = None
    attempt_timeout: Duration | Reference | None = None
    priority: Annotated[int, Field(ge=1, le=9, strict=True)] | None = None
    on_failure: Literal["fail", "skip"] | Default = "fail"
    compensation: Literal["own", "none"] | OtherAction = "own"
    pivot: StrictBool = False


class Sequence(DefinitionNode):
    """Nodes that run one after the other."""

    sequence: Annotated[tuple["Node", ...], Field(min_length=1, max_length=500)]


class Parallel(DefinitionNode):
    """Branches that run at the same time, and the join that waits for all of them.

    `parallel` is the key of the join.
    """

    parallel: Key
    branches: Annotated[tuple["Node", ...], Field(min_length=1, max_length=100)]


class Map(DefinitionNode):
    """Runs the body `do` once for each item of `over`, for at most `max_concurrency` items at a
    time.

    With `stop`, the first item that fails makes the map fail. With `collect`, the map continues,
    and its `failures` lists the failed items.
    """

    map: Key
    over: Reference
    max_concurrency: Annotated[int, Field(ge=1, le=MAX_ITEMS, strict=True)] = 10
    on_item_failure: Literal["stop", "collect"] = "stop"
    do: "Node"


class Case(DefinitionNode):
    """One alternative of a choice."""

    when: Expression
    do: "Node"


class Choice(DefinitionNode):
    """Runs the first case whose condition is true, or else `otherwise` if there is one."""

    choice: Key
    cases: Annotated[tuple[Case, ...], Field(min_length=1, max_length=100)]
    otherwise: "Node | None" = None


class AwaitedEvent(DefinitionNode):
    """The event that a wait waits for.

    `type` is a type such as `order.paid`, a prefix such as `order.*`, or `*`. `filter` is a
    condition over `event` and what every step may read. Events count that were received since the
    step was ready, or `within_last` a duration before that.
    """

    type: Annotated[str, Field(min_length=1, max_length=202)]
    filter: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    within_last: Duration | None = None


class Wait(DefinitionNode):
    """Waits `for` a duration, `until` a point in time (ISO 8601 with a UTC offset), or for an
    `event`.

    A wait for an event lasts at most `timeout` (by default 30 days).
    """

    wait: Key
    for_: Duration | Reference | None = Field(default=None, alias="for")
    until: str | Reference | None = None
    event: AwaitedEvent | None = None
    timeout: Duration | Reference | None = None
    on_timeout: Literal["fail", "go_on"] | None = None
    when: Expression | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if sum(each is not None for each in (self.for_, self.until, self.event)) != 1:
            raise ValueError("a wait has one of `for`, `until` and `event`")
        if self.event is None and (self.timeout is not None or self.on_timeout is not None):
            raise ValueError("only a wait for an `event` has `timeout` and `on_timeout`")
        return self


class Approval(DefinitionNode):
    """Waits at most `timeout` for the signal named `signal` (by default the node's key).

    Only the people in `by` (e-mail addresses, and groups of the workflow's owner, as
    `group:finance`) may send the signal; by default only the owner of the workflow may. So many
    different people as `needed` must approve; one is enough to reject. They see what `show`
    contains: a message, an amount of money and pictures. `remind` lists after which durations
    people are reminded while the approval is open; each is longer than the one before it.
    """

    approval: Key
    signal: Key | None = None
    by: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)] | Reference | None = None
    needed: Annotated[int, Field(ge=1, le=100, strict=True)] = 1
    show: dict[Literal["message", "amount", "pictures"], Any] = Field(default_factory=dict)
    timeout: Duration | Reference = LONGEST_UNANSWERED
    remind: Annotated[tuple[Duration, ...], Field(min_length=1, max_length=MOST_REMINDERS)] = ()
    on_timeout: Literal["fail", "go_on"] = "fail"
    on_reject: Literal["fail", "go_on"] = "fail"
    when: Expression | None = None


class Child(DefinitionNode):
    """Starts another workflow with the rendered `with` as its input.

    The node waits for the end of the child unless `await` is false. `on_stop` says whether the
    child is cancelled or continues when its parent is stopped.
    """

    workflow: Key
    type: Key
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    version: Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)] | None = None
    await_: StrictBool = Field(default=True, alias="await")
    on_stop: Literal["cancel", "leave"] = "cancel"
    timeout: Duration | Reference | None = None
    on_failure: Literal["fail", "skip"] | Default = "fail"
    when: Expression | None = None


class Loop(DefinitionNode):
    """Runs the body `do` until the condition `until` is true, at most `max` times."""

    loop: Key
    until: Expression
    max: Annotated[int, Field(ge=1, le=MAX_TURNS, strict=True)]
    on_exhausted: Literal["fail", "go_on"] = "fail"
    do: "Node"


KINDS = (
    "step",
    "sequence",
    "parallel",
    "map",
    "choice",
    "wait",
    "approval",
    "workflow",
    "loop",
)


def _kind(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((name for name in KINDS if name in value), None)
    return "workflow" if isinstance(value, Child) else type(value).__name__.lower()


Node = Annotated[
    Annotated[Step, Tag("step")]
    | Annotated[Sequence, Tag("sequence")]
    | Annotated[Parallel, Tag("parallel")]
    | Annotated[Map, Tag("map")]
    | Annotated[Choice, Tag("choice")]
    | Annotated[Wait, Tag("wait")]
    | Annotated[Approval, Tag("approval")]
    | Annotated[Child, Tag("workflow")]
    | Annotated[Loop, Tag("loop")],
    Discriminator(
        _kind,
        custom_error_type="unknown_node",
        custom_error_message=f"a node is one of: {', '.join(KINDS)}",
    ),
]


class Definition(DefinitionNode):
    """A recipe for workflows.

    `do` is the root node. `output` is a template of the workflow's output. `on_failure` says what
    happens after a permanent failure of a step: `undo` undoes the workflow; `hold` marks the
    workflow for attention, so that a person decides.
    """

    name: Key
    description: Annotated[str, Field(max_length=4000)] | None = None
    input_schema: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    output_schema: dict[str, Any] | None = None
    do: Node
    output: dict[str, Any] = Field(default_factory=dict)
    timeout: Duration | Reference | None = None
    """Limits the time from the start to the end. A reference reads only `input`."""
    on_failure: Literal["undo", "hold"] = "undo"
    budget_usd: Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$")] | None = None
    """The most that the platforms may cost in one workflow, in US dollars, such as `"1.50"`."""
    flow: Flow | None = None
    """When its workflows start, and how many of them at once."""
    retention: Literal["never"] | Retention | None = None
    """How long ended workflows are kept before they are archived, and there. `never`: they are not
    archived. Of all versions, that of the active one applies to all workflows of the type."""

    @property
    def budget(self) -> int | None:
        """The budget in micro-USD."""
        return None if self.budget_usd is None else int(Decimal(self.budget_usd) * 1_000_000)

    def body(self) -> dict[str, Any]:
        """The JSON form that is stored; it contains only the fields that the author gave."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def checksum(self) -> str:
        """The SHA-256, in hexadecimal, of the JSON form with sorted names."""
        text = json.dumps(self.body(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def from_body(cls, body: dict[str, Any]) -> Self:
        """Parse a body; raise pydantic's ValidationError if its shape is wrong."""
        return cls.model_validate(body)


for _model in (Sequence, Parallel, Map, Case, Choice, Loop, Definition):
    _model.model_rebuild()
