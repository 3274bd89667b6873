"""A plan: a definition laid out as templates of the rows in `steps`. Pure.

The template of a row says which rows its success releases, and to which steps it may refer. The
keys in a plan are templates too (see app/keys). The key of a block is the key of its join. Other
rows control the block: `swap~expand` adds the items of a map or the first turn of a loop,
`tier~choose` picks an alternative of a choice, and `retry[]~until` ends a turn of a loop.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from app.keys import block_of, concrete, ends_turn, indexes_of, is_open, template_of
from chains.language.definition import Approval, Child, Loop, Map, OtherAction, Step, Wait
from chains.language.expressions import expressions, roots

JOIN = "control.join"
EXPAND = "control.expand"
CHOOSE = "control.choose"
TURN = "control.turn"
WAIT = "control.wait"
EVENT = "control.event"
"""A wait for an event."""
APPROVAL = "control.approval"
CHILD = "control.child"
BRANCHING = frozenset({EXPAND, CHOOSE, TURN})
"""After these actions, the steps that follow are chosen when the outcome is recorded."""
_ROLES = {
    WAIT: "wait",
    EVENT: "wait",
    APPROVAL: "approval",
    **dict.fromkeys((JOIN, *BRANCHING), "shape"),
}
"""The value of the column `role` of `steps`, by action. The role of any other action is NULL."""

Scope = dict[str, str]
Place = tuple[tuple[str, int], ...]
"""The path from the root to a step in the tree of nodes: (kind of node, number of the child)."""

SingleNode = Step | Wait | Approval | Child


class DefinitionInvalid(ValueError):
    """Raised if a definition cannot be laid out as a plan.

    `path` is the JSON pointer to the fault.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


@dataclass(frozen=True)
class Way:
    """One alternative of a choice.

    `when` is its condition (None for `otherwise`). `heads` are the keys of its first rows, `keys`
    those of all its rows. `result_key` is the key of the row that contains its output.
    """

    when: str | None
    heads: tuple[str, ...]
    keys: tuple[str, ...]
    result_key: str


@dataclass(frozen=True)
class PlannedStep:
    """The template of one row.

    `scope` contains each name to which the row may refer, with the key template of that step.
    """

    key: str
    action: str
    pointer: str
    """The JSON pointer to the node in the definition from which the row is made."""
    node: SingleNode | None = None
    block: Map | Loop | None = None
    """The map or loop that the row controls; None on other rows."""
    position: int = 0
    next_keys: tuple[str, ...] = ()
    join_key: str | None = None
    chain_join: str | None = None
    """The join at the end of the step's chain, also if other steps come before that join."""
    item_heads: tuple[str, ...] = ()
    remaining: int | None = None
    template: Any = field(default_factory=dict)
    references: frozenset[str] = frozenset()
    scope: Mapping[str, str] = field(default_factory=dict)
    result_key: str | None = None
    """For a row that controls a map or a loop: the key template of the row with a body's output."""
    ways: tuple[Way, ...] = ()
    """For both rows of a choice (join and `~choose`): its alternatives."""
    body_key: str | None = None
    """The key of the innermost map or loop that contains the step."""
    collect_key: str | None = None
    """The key of the innermost map with `on_item_failure: collect` that contains the step."""
    has_item: bool = False
    """Whether the step is in the body of a map, at any depth."""
    is_pivot: bool = False
    place: Place = ()

    @property
    def conditions(self) -> tuple[str, ...]:
        """The JMESPath conditions of the row: its `when`, its `until`, or those of its cases."""
        if self.action == CHOOSE:
            return tuple(way.when for way in self.ways if way.when is not None)
        if isinstance(self.block, Loop) and ends_turn(self.key):
            return (self.block.until,)
        when = getattr(self.node, "when", None)
        return () if when is None else (when,)

    @property
    def time_limit(self) -> dict[str, Any] | None:
        """The reference that gives the row's `timeout`; None if the definition states it."""
        found = getattr(self.node, "timeout", None)
        return found if isinstance(found, dict) else None

    @property
    def attempt_limit(self) -> dict[str, Any] | None:
        """The same for the row's `attempt_timeout`."""
        found = getattr(self.node, "attempt_timeout", None)
        return found if isinstance(found, dict) else None

    @property
    def event_filter(self) -> str | None:
        """The condition over `event` of a wait for an event; None if it has none."""
        event = self.node.event if isinstance(self.node, Wait) else None
        return None if event is None else event.filter

    def expressions(self) -> Iterator[tuple[str, str]]:
        """Every expression of this row, as pairs (JSON pointer in the template, expression)."""
        yield from expressions(self.template)
        yield from expressions(self.time_limit)
        yield from expressions(self.attempt_limit)
        for condition in (*self.conditions, self.event_filter):
            if condition is not None:
                yield "", condition

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the scope that the row's expressions read, such as `input`."""
        return frozenset(name for _, each in self.expressions() for name in roots(each))

    @cached_property
    def undo_names(self) -> frozenset[str]:
        """The names of the scope that the input of the row's other compensation reads."""
        other = self.other_compensation
        found = expressions(other.with_) if other else ()
        return frozenset(name for _, each in found for name in roots(each))

    @property
    def reads_item(self) -> bool:
        """Whether the row reads the item of its map."""
        return "item" in self.names | self.undo_names

    @property
    def carries_item(self) -> bool:
        """Whether the row stores the map's item: it reads the item, or turns of its loop may."""
        return self.has_item and (self.reads_item or isinstance(self.block, Loop))

    @property
    def other_compensation(self) -> OtherAction | None:
        """The action that undoes the step if that is not the compensation of its own action."""
        found = self.node.compensation if isinstance(self.node, Step) else None
        return found if isinstance(found, OtherAction) else None

    @property
    def role(self) -> str | None:
        """`shape` (the row controls a block), `wait` or `approval`; None for other rows."""
        return _ROLES.get(self.action)

    @property
    def is_last(self) -> bool:
        """Whether the step's success ends the workflow."""
        return not self.next_keys and self.join_key is None and self.action not in BRANCHING


@dataclass(frozen=True)
class Plan:
    """A definition laid out as row templates.

    `steps` contains the templates by key. `heads` are the keys with which a workflow starts.
    """

    name: str
    steps: Mapping[str, PlannedStep]
    heads: tuple[str, ...]
    output: Mapping[str, Any]
    output_references: frozenset[str]
    timeout: float | Mapping[str, Any] | None
    """The workflow's time-out: seconds, or a reference that reads only the input."""
    output_schema: Mapping[str, Any] | None = None
    is_holding: bool = False
    """Whether the workflow waits for a person after a permanent failure; otherwise it is undone."""
    pivot: str | None = None
    budget: int | None = None
    """The most that the platforms may cost in one workflow, in micro-USD."""

    @cached_property
    def asking(self) -> tuple[PlannedStep, ...]:
        """The approvals of which it is known at the start that they will ask, and whom.

        Those in a choice, in the body of a map or loop, or with a condition may never ask.
        """
        doubtful = {key for step in self.steps.values() for way in step.ways for key in way.keys}
        return tuple(
            step
            for step in self.steps.values()
            if step.action == APPROVAL
            and step.body_key is None
            and step.key not in doubtful
            and not step.conditions
            and "by" in step.template
            and {name for _, each in expressions(step.template["by"]) for name in roots(each)}
            <= {"input"}
        )

    def step(self, key: str) -> PlannedStep:
        """The row template of a concrete key; raise KeyError if there is none."""
        return self.steps[template_of(key)]

    def is_in_later_turn(self, key: str) -> bool:
        """Whether a concrete key is that of a step in a later turn of a loop than the first."""
        indexes, body = indexes_of(key), self.step(key).body_key
        while body is not None:
            block = self.steps[body]
            if isinstance(block.block, Loop) and indexes[body.count("[]")] > 0:
                return True
            body = block.body_key
        return False

    def body(self, block_key: str) -> list[PlannedStep]:
        """The row templates of one body of the map or loop with the key template `block_key`."""
        return [step for step in self.steps.values() if step.body_key == block_key]


def dead_path(plan: Plan, key: str) -> tuple[list[str], str | None]:
    """The steps that never run if the step `key` fails and the workflow continues.

    Return (the keys of these steps, the key of the join at the end of the chain of `key`).
    """
    step = plan.step(key)
    indexes = indexes_of(key)
    found: dict[str, None] = {}
    waiting = _targets(plan, step)
    while waiting:
        target = waiting.pop()
        if target == step.chain_join or target in found:
            continue
        found[target] = None
        waiting += _targets(plan, plan.steps[target])
    join = None if step.chain_join is None else concrete(step.chain_join, indexes)
    # A key with an open index belongs to the body of a block inside, whose rows were never added.
    keys = [made for made in (concrete(each, indexes) for each in found) if not is_open(made)]
    return keys, join


def _targets(plan: Plan, step: PlannedStep) -> list[str]:
    targets = [*step.next_keys]
    if step.join_key is not None:
        targets.append(step.join_key)
    if step.action in BRANCHING:
        targets.append(block_of(step.key))
        targets += [key for way in step.ways for key in way.keys]
    return targets
