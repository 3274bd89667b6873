"""A definition laid out as rows: which step releases which, and what each may refer to. Pure.

Keys are paths: `swap[3].render`. A plan holds templates of them, `swap[].render`; a map's key is
its join, `swap~expand` the row that evaluates `over` and adds the items.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from chains.definition import Definition, Map, Parallel, Sequence, Step
from chains.expressions import ExpressionInvalid, expressions, roots, step_references

JOIN = "control.join"
EXPAND = "control.expand"
EXPAND_SUFFIX = "~expand"

Scope = dict[str, str]
Place = tuple[tuple[str, int], ...]
"""Where a step stands in the tree of nodes, from the root: (kind of node, child's number)."""

_INDEX = re.compile(r"\[(\d+)\]")


class DefinitionInvalid(ValueError):
    """A definition that can be known to be wrong; `path` points at the fault."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


@dataclass(frozen=True)
class PlannedStep:
    """One row's template. `scope` maps the names it may refer to onto key templates."""

    key: str
    action: str
    position: int
    next_keys: tuple[str, ...] = ()
    join_key: str | None = None
    item_heads: tuple[str, ...] = ()
    remaining: int | None = None
    template: Any = field(default_factory=dict)
    references: frozenset[str] = frozenset()
    scope: Mapping[str, str] = field(default_factory=dict)
    tries: int | None = None
    timeout_seconds: float | None = None
    window: int = 0
    result_key: str | None = None
    """On a map's join: the template of the step whose output is an item's output."""
    map_key: str | None = None
    """The innermost map whose body the step stands in."""
    is_pivot: bool = False
    place: Place = ()

    @property
    def needs_item(self) -> bool:
        """Whether the step's template reads the item of its map."""
        return any("item" in roots(expression) for _, expression in expressions(self.template))

    @property
    def is_last(self) -> bool:
        """Whether its success ends the workflow."""
        return not self.next_keys and self.join_key is None and self.action != EXPAND


@dataclass(frozen=True)
class Plan:
    """All templates by key, the heads, and the output's references."""

    name: str
    steps: Mapping[str, PlannedStep]
    heads: tuple[str, ...]
    output: Mapping[str, Any]
    output_references: frozenset[str]
    timeout_seconds: float | None

    def step(self, key: str) -> PlannedStep:
        """The template of a concrete key; KeyError when there is none."""
        return self.steps[template_of(key)]


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
    for index in indexes:
        template = template.replace("[]", f"[{index}]", 1)
    return template


@dataclass(frozen=True)
class _After:
    """What a node's success releases, and where the node stands."""

    next_keys: tuple[str, ...] = ()
    join_key: str | None = None


@dataclass
class _Layout:
    """Lays nodes out from the last to the first, so that each knows what it releases."""

    steps: dict[str, PlannedStep] = field(default_factory=dict)

    def add(self, step: PlannedStep) -> None:
        if step.key in self.steps:
            raise DefinitionInvalid(step.key, "two nodes have this key")
        self.steps[step.key] = step

    def node(self, node: Any, prefix: str, after: _After, map_key: str | None) -> tuple[str, ...]:
        """Lay out a node; the keys it starts with."""
        if isinstance(node, Sequence):
            heads: tuple[str, ...] = ()
            for child in reversed(node.sequence):
                heads = self.node(child, prefix, after, map_key)
                after = _After(next_keys=heads)
            return heads
        if isinstance(node, Parallel):
            return self.parallel(node, prefix, after, map_key)
        if isinstance(node, Map):
            return self.map(node, prefix, after, map_key)
        return self.single(node, prefix, after, map_key)

    def single(
        self, node: Step, prefix: str, after: _After, map_key: str | None
    ) -> tuple[str, ...]:
        self.add(
            PlannedStep(
                key=prefix + node.step,
                action=node.action,
                position=0,
                next_keys=after.next_keys,
                join_key=after.join_key,
                template=node.with_,
                tries=node.retry.tries if node.retry else None,
                timeout_seconds=node.timeout,
                map_key=map_key,
                is_pivot=node.pivot,
            )
        )
        return (prefix + node.step,)

    def parallel(
        self, node: Parallel, prefix: str, after: _After, map_key: str | None
    ) -> tuple[str, ...]:
        join = prefix + node.parallel
        self.add(
            PlannedStep(
                key=join,
                action=JOIN,
                position=0,
                next_keys=after.next_keys,
                join_key=after.join_key,
                remaining=len(node.branches),
                map_key=map_key,
            )
        )
        heads: tuple[str, ...] = ()
        for branch in node.branches:
            heads += self.node(branch, prefix, _After(join_key=join), map_key)
        return heads

    def map(self, node: Map, prefix: str, after: _After, map_key: str | None) -> tuple[str, ...]:
        join = prefix + node.map
        body_prefix = f"{join}[]."
        heads = self.node(node.do, body_prefix, _After(join_key=join), join)
        self.add(
            PlannedStep(
                key=join,
                action=JOIN,
                position=0,
                next_keys=after.next_keys,
                join_key=after.join_key,
                item_heads=tuple(head.removeprefix(body_prefix) for head in heads),
                result_key=body_prefix + _result_name(node.do),
                map_key=map_key,
            )
        )
        self.add(
            PlannedStep(
                key=join + EXPAND_SUFFIX,
                action=EXPAND,
                position=0,
                template={"items": dict(node.over)},
                window=node.max_concurrency,
                map_key=map_key,
            )
        )
        return (join + EXPAND_SUFFIX,)


def _check_pivots(steps: Mapping[str, PlannedStep]) -> None:
    # Once the pivot has succeeded nothing is undone; with steps behind it a failure of theirs
    # would have to be retried for ever, which is not built.
    for step in steps.values():
        if step.is_pivot and not step.is_last:
            raise DefinitionInvalid(step.key, "the pivot must be the last step")


def _result_name(node: Any) -> str:
    """The step whose output is the node's."""
    if isinstance(node, Sequence):
        return _result_name(node.sequence[-1])
    if isinstance(node, Parallel):
        return node.parallel
    return node.map if isinstance(node, Map) else node.step


def compile_plan(definition: Definition) -> Plan:
    """Lay the definition out and check its references; raise DefinitionInvalid."""
    layout = _Layout()
    heads = layout.node(definition.do, "", _After(), None)
    walk = _Walk()
    done = walk.node(definition.do, "", {})
    steps = {
        key: _with_scope(layout.steps[key], position, scope, walk.places.get(key, ()))
        for position, (key, scope) in enumerate(walk.scopes.items())
    }
    _check_pivots(steps)
    return Plan(
        definition.name,
        steps,
        heads,
        definition.output,
        frozenset(_references(definition.output, "/output", done, None)),
        definition.timeout,
    )


@dataclass
class _Walk:
    """Reads the nodes in their order: positions, and the names that are done before each."""

    scopes: dict[str, Scope] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)

    def node(self, node: Any, prefix: str, done: Scope, place: Place = ()) -> Scope:
        """Note the node's keys; the names done after it."""
        if isinstance(node, Sequence):
            for at, child in enumerate(node.sequence):
                done = self.node(child, prefix, done, (*place, ("sequence", at)))
            return done
        if isinstance(node, Parallel):
            after = dict(done)
            for at, branch in enumerate(node.branches):
                after |= self.node(branch, prefix, done, (*place, ("parallel", at)))
            return self.note(node.parallel, prefix, after, ())
        if isinstance(node, Map):
            self.scopes[prefix + node.map + EXPAND_SUFFIX] = done
            self.node(node.do, f"{prefix}{node.map}[].", done, (*place, ("map", 0)))
            return self.note(node.map, prefix, done, ())
        return self.note(node.step, prefix, done, place)

    def note(self, name: str, prefix: str, done: Scope, place: Place) -> Scope:
        self.scopes[prefix + name] = done
        self.places[prefix + name] = place
        return {**done, name: prefix + name}


def _with_scope(step: PlannedStep, position: int, scope: Scope, place: Place) -> PlannedStep:
    names = _references(step.template, f"{step.key}.with", scope, step.map_key)
    return replace(
        step,
        position=position,
        scope=scope,
        place=place,
        references=frozenset(scope[name] for name in names),
    )


def _references(
    template: Any, path: str, scope: Mapping[str, str], map_key: str | None
) -> set[str]:
    """The names of steps that a template refers to; each must be visible from where it stands."""
    names: set[str] = set()
    allowed = {"input", "steps"} | ({"item", "index"} if map_key is not None else set())
    for pointer, expression in expressions(template):
        at = f"{path}{pointer}"
        if not isinstance(expression, str):
            raise DefinitionInvalid(at, 'a reference is {"$": "<JMESPath>"}')
        try:
            unknown = roots(expression) - allowed
            found = step_references(expression)
        except ExpressionInvalid as err:
            raise DefinitionInvalid(at, str(err)) from err
        if unknown:
            raise DefinitionInvalid(
                at, f"{min(unknown)!r} is not one of {', '.join(sorted(allowed))}"
            )
        for name in sorted(found - set(scope)):
            raise DefinitionInvalid(at, f"step {name!r} does not exist or is not done before")
        names |= found
    return names
