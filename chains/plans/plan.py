"""A plan: a definition laid out as rows, which say what each releases and may refer to. Pure.

A plan holds templates of keys (see app/keys). The key of a block is the key of its join. Rows
beside the join control the block: `swap~expand` adds the items of a map or the first turn of a
loop, `tier~choose` picks an alternative of a choice, and `retry[]~until` ends a turn of a loop.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.keys import block_of, concrete, ends_turn, indexes_of, is_open, template_of
from chains.language.definition import Approval, Child, Loop, Map, OtherAction, Step, Wait
from chains.language.expressions import expressions, roots

JOIN = "control.join"
EXPAND = "control.expand"
CHOOSE = "control.choose"
TURN = "control.turn"
WAIT = "control.wait"
APPROVAL = "control.approval"
CHILD = "control.child"
BRANCHING = frozenset({EXPAND, CHOOSE, TURN})
"""The steps after these actions are decided when their outcome is recorded."""
_ROLES = {WAIT: "wait", APPROVAL: "approval", **dict.fromkeys((JOIN, *BRANCHING), "shape")}
"""The role of a row that runs no action of a platform, as its column `role` has it."""

Scope = dict[str, str]
Place = tuple[tuple[str, int], ...]
"""The way from the root to a step in the tree of nodes: (kind of node, number of the child)."""

SingleNode = Step | Wait | Approval | Child


class DefinitionInvalid(ValueError):
    """A definition that cannot be laid out; `path` is the JSON pointer to the fault."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


@dataclass(frozen=True)
class Way:
    """One alternative of a choice: its condition (None for `otherwise`), its first keys, all its
    keys, and the key of the row that holds its output."""

    when: str | None
    heads: tuple[str, ...]
    keys: tuple[str, ...]
    result_key: str


@dataclass(frozen=True)
class PlannedStep:
    """The template of one row. `scope` maps each name that it may refer to onto a key template."""

    key: str
    action: str
    pointer: str
    """The JSON pointer to its node in the definition."""
    node: SingleNode | None = None
    block: Map | Loop | None = None
    """The map or loop that the row controls; None on other rows."""
    position: int = 0
    next_keys: tuple[str, ...] = ()
    join_key: str | None = None
    chain_join: str | None = None
    """The join at the end of the step's chain, even if other steps come before it."""
    item_heads: tuple[str, ...] = ()
    remaining: int | None = None
    template: Any = field(default_factory=dict)
    references: frozenset[str] = frozenset()
    scope: Mapping[str, str] = field(default_factory=dict)
    result_key: str | None = None
    """On rows that control a map or a loop: the key template of the row with a body's output."""
    ways: tuple[Way, ...] = ()
    """The alternatives, on both rows of a choice."""
    body_key: str | None = None
    """The key of the innermost map or loop that contains the step."""
    collect_key: str | None = None
    """The key of the innermost map around the step that goes on when an item fails."""
    has_item: bool = False
    """Whether the step is in the body of a map, at any depth."""
    is_pivot: bool = False
    place: Place = ()

    @property
    def conditions(self) -> tuple[str, ...]:
        """The row's conditions, which are JMESPath expressions: `when`, `until`, or cases."""
        if self.action == CHOOSE:
            return tuple(way.when for way in self.ways if way.when is not None)
        if isinstance(self.block, Loop) and ends_turn(self.key):
            return (self.block.until,)
        when = getattr(self.node, "when", None)
        return () if when is None else (when,)

    def expressions(self) -> Iterator[tuple[str, str]]:
        """Every (pointer within the template, expression) that the row reads."""
        yield from expressions(self.template)
        for condition in self.conditions:
            yield "", condition

    @property
    def reads_item(self) -> bool:
        """Whether the row reads the item of its map."""
        other = self.other_compensation
        found = [*self.expressions(), *(expressions(other.with_) if other else ())]
        return any("item" in roots(expression) for _, expression in found)

    @property
    def carries_item(self) -> bool:
        """Whether its row stores the item: the row reads the item, or a turn of its loop may."""
        return self.has_item and (self.reads_item or isinstance(self.block, Loop))

    @property
    def other_compensation(self) -> OtherAction | None:
        """The other action that undoes the step, if it has one."""
        found = self.node.compensation if isinstance(self.node, Step) else None
        return found if isinstance(found, OtherAction) else None

    @property
    def reads_input(self) -> bool:
        """Whether the row reads the workflow's input."""
        return any("input" in roots(expression) for _, expression in self.expressions())

    @property
    def role(self) -> str | None:
        """Whether it is part of a block's shape, a wait or an approval; None for other nodes."""
        return _ROLES.get(self.action)

    @property
    def is_last(self) -> bool:
        """Whether the step's success ends the workflow."""
        return not self.next_keys and self.join_key is None and self.action not in BRANCHING


@dataclass(frozen=True)
class Plan:
    """The row templates by key, the keys with which a workflow starts (`heads`), and the output."""

    name: str
    steps: Mapping[str, PlannedStep]
    heads: tuple[str, ...]
    output: Mapping[str, Any]
    output_references: frozenset[str]
    timeout_seconds: float | None
    output_schema: Mapping[str, Any] | None = None
    is_holding: bool = False
    """Whether a permanent failure of a step holds the workflow for a person; else it is undone."""
    pivot: str | None = None
    budget: int | None = None
    """Micro-USD."""

    def step(self, key: str) -> PlannedStep:
        """The template of a concrete key; raise KeyError when there is none."""
        return self.steps[template_of(key)]

    def body(self, block_key: str) -> list[PlannedStep]:
        """The rows of one body of a map or loop; `block_key` is the template of its key."""
        return [step for step in self.steps.values() if step.body_key == block_key]


def dead_path(plan: Plan, key: str) -> tuple[list[str], str | None]:
    """(the keys of the steps that never run because the step `key` failed, the join at the end of
    its chain), for a workflow that goes on after that failure."""
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
    # A key that still has an open index belongs to a deeper body, whose rows were never added.
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
