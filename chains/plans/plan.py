"""A definition laid out as rows: which step releases which, and what each may refer to. Pure.

Keys are paths: `swap[3].render`. A plan holds templates of them, `swap[].render`. A block's key is
its join; what starts it stands beside it: `swap~expand` adds a map's items or a loop's first turn,
`tier~choose` picks the way of a choice, `retry[]~until` ends a loop's turn.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

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
"""What follows these is decided when they are recorded."""

EXPAND_SUFFIX = "~expand"
CHOOSE_SUFFIX = "~choose"
UNTIL_SUFFIX = "~until"

Scope = dict[str, str]
Place = tuple[tuple[str, int], ...]
"""Where a step stands in the tree of nodes, from the root: (kind of node, child's number)."""

SingleNode = Step | Wait | Approval | Child

_INDEX = re.compile(r"\[(\d+)\]")


class DefinitionInvalid(ValueError):
    """A definition that can be known to be wrong; `path` is a JSON pointer to the fault."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


@dataclass(frozen=True)
class Way:
    """One way of a choice: its condition (None: otherwise), the keys it starts with, all its keys,
    and the key whose output is its output."""

    when: str | None
    heads: tuple[str, ...]
    keys: tuple[str, ...]
    result_key: str


@dataclass(frozen=True)
class PlannedStep:
    """One row's template. `scope` maps the names it may refer to onto key templates."""

    key: str
    action: str
    pointer: str
    """Where its node stands in the definition, as a JSON pointer."""
    node: SingleNode | None = None
    block: Map | Loop | None = None
    """On the rows of a map or a loop: the block itself."""
    position: int = 0
    next_keys: tuple[str, ...] = ()
    join_key: str | None = None
    chain_join: str | None = None
    """The join that the step's chain comes to in the end, however many steps away."""
    item_heads: tuple[str, ...] = ()
    remaining: int | None = None
    template: Any = field(default_factory=dict)
    references: frozenset[str] = frozenset()
    scope: Mapping[str, str] = field(default_factory=dict)
    result_key: str | None = None
    """On the join of a map or a loop: the template of the step whose output is a body's output."""
    ways: tuple[Way, ...] = ()
    """On both rows of a choice."""
    body_key: str | None = None
    """The innermost map or loop in whose body the step stands."""
    collect_key: str | None = None
    """The innermost map around it that goes on when an item fails."""
    has_item: bool = False
    """Whether it stands in the body of a map, however deep."""
    is_pivot: bool = False
    place: Place = ()

    @property
    def conditions(self) -> tuple[str, ...]:
        """The plain JMESPath expressions that decide something here."""
        if self.action == CHOOSE:
            return tuple(way.when for way in self.ways if way.when is not None)
        if isinstance(self.block, Loop) and self.key.endswith(UNTIL_SUFFIX):
            return (self.block.until,)
        when = getattr(self.node, "when", None)
        return () if when is None else (when,)

    def expressions(self) -> Iterator[tuple[str, str]]:
        """Every (where in the row, expression) that the row reads."""
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
        """Whether its row keeps the item: it reads it, or its turns may."""
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
    def is_last(self) -> bool:
        """Whether its success ends the workflow."""
        return not self.next_keys and self.join_key is None and self.action not in BRANCHING


@dataclass(frozen=True)
class Plan:
    """All templates by key, the heads, and the output's references."""

    name: str
    steps: Mapping[str, PlannedStep]
    heads: tuple[str, ...]
    output: Mapping[str, Any]
    output_references: frozenset[str]
    timeout_seconds: float | None
    output_schema: Mapping[str, Any] | None = None
    is_holding: bool = False
    """A step that failed for good holds the workflow for a person instead of undoing it."""
    pivot: str | None = None
    budget: int | None = None
    """Micro-USD."""

    def step(self, key: str) -> PlannedStep:
        """The template of a concrete key; KeyError when there is none."""
        return self.steps[template_of(key)]

    def body(self, block_key: str) -> list[PlannedStep]:
        """The rows of one item or turn of a map or loop, by the template of its key."""
        return [step for step in self.steps.values() if step.body_key == block_key]


def template_of(key: str) -> str:
    """
    >>> template_of("swap[3].render")
    'swap[].render'
    """
    return _INDEX.sub("[]", key) if "[" in key else key


def indexes_of(key: str) -> tuple[int, ...]:
    """
    >>> indexes_of("outer[2].inner[5].render")
    (2, 5)
    """
    return tuple(int(found) for found in _INDEX.findall(key))


def concrete(template: str, indexes: tuple[int, ...]) -> str:
    """Fill the template's leading indexes.

    >>> concrete("outer[].inner[].render", (2, 5))
    'outer[2].inner[5].render'
    """
    if "[]" not in template:
        return template
    for index in indexes:
        template = template.replace("[]", f"[{index}]", 1)
    return template


def block_of(key: str) -> str:
    """The key of the block that a starting row belongs to.

    >>> block_of("swap~expand"), block_of("retry[2]~until")
    ('swap', 'retry')
    """
    if key.endswith(UNTIL_SUFFIX):
        return key.removesuffix(UNTIL_SUFFIX).rpartition("[")[0]
    return key.removesuffix(EXPAND_SUFFIX).removesuffix(CHOOSE_SUFFIX)


def dead_path(plan: Plan, key: str) -> tuple[list[str], str | None]:
    """What will never run once the step `key` has failed and is tolerated: (the keys after it in
    its chain, the join that the chain reports to)."""
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
    # A row of a deeper body (an item never added) keeps an open index and does not exist.
    keys = [made for made in (concrete(each, indexes) for each in found) if "[]" not in made]
    return keys, join


def _targets(plan: Plan, step: PlannedStep) -> list[str]:
    targets = [*step.next_keys]
    if step.join_key is not None:
        targets.append(step.join_key)
    if step.action in BRANCHING:
        targets.append(block_of(step.key.replace("[]" + UNTIL_SUFFIX, "[0]" + UNTIL_SUFFIX)))
        targets += [key for way in step.ways for key in way.keys]
    return targets
