"""Turns a definition into a plan: makes row templates of every node, from last to first. Pure."""

from dataclasses import dataclass, field, replace
from typing import Any

from app.keys import body_prefix, choose_of, expand_of, until_of
from chains.language.definition import (
    Approval,
    Child,
    Choice,
    Definition,
    Loop,
    Map,
    Parallel,
    Sequence,
    Step,
    Wait,
)
from chains.plans.plan import (
    APPROVAL,
    CHILD,
    CHOOSE,
    EVENT,
    EXPAND,
    JOIN,
    TURN,
    WAIT,
    DefinitionInvalid,
    Plan,
    PlannedStep,
    SingleNode,
    Way,
)
from chains.plans.scopes import check_pivot, checked_timeout, output_references, walk

MAX_STEPS = 2000


@dataclass(frozen=True)
class _Spot:
    """The place of a node in the definition.

    `prefix` is the prefix of its keys. `body_key` and `collect_key` are those of PlannedStep.
    """

    prefix: str = ""
    pointer: str = "/do"
    body_key: str | None = None
    collect_key: str | None = None
    has_item: bool = False

    def at(self, *path: str | int) -> "_Spot":
        """The spot of a child; `path` leads from the node to the child."""
        return replace(self, pointer="/".join([self.pointer, *map(str, path)]))


@dataclass(frozen=True)
class _After:
    """What follows a node: the keys that its success releases, and the joins.

    `join_key` is the join that directly follows; `chain_join` is the join at the end of the chain.
    """

    next_keys: tuple[str, ...] = ()
    join_key: str | None = None
    chain_join: str | None = None

    @classmethod
    def into(cls, join: str) -> "_After":
        """The join `join` directly follows the node."""
        return cls((), join, join)


@dataclass
class _Layout:
    """Lays out nodes from last to first: a node is laid out after the nodes that it releases."""

    steps: dict[str, PlannedStep] = field(default_factory=dict)

    def add(self, spot: _Spot, after: _After, key: str, action: str, **rest: Any) -> None:
        name = spot.prefix + key
        if name in self.steps:
            raise DefinitionInvalid(spot.pointer, f"two nodes have the key {name!r}")
        if len(self.steps) >= MAX_STEPS:
            raise DefinitionInvalid(spot.pointer, f"a definition has at most {MAX_STEPS} steps")
        self.steps[name] = PlannedStep(
            key=name,
            action=action,
            pointer=spot.pointer,
            next_keys=after.next_keys,
            join_key=after.join_key,
            chain_join=after.chain_join,
            body_key=spot.body_key,
            collect_key=spot.collect_key,
            has_item=spot.has_item,
            **rest,
        )

    def node(self, node: Any, spot: _Spot, after: _After) -> tuple[str, ...]:
        """Lay out a node, and return the keys with which it starts."""
        match node:
            case Sequence():
                return self.sequence(node, spot, after)
            case Parallel():
                return self.parallel(node, spot, after)
            case Map():
                return self.map(node, spot, after)
            case Choice():
                return self.choice(node, spot, after)
            case Loop():
                return self.loop(node, spot, after)
            case _:
                return self.single(node, spot, after)

    def sequence(self, node: Sequence, spot: _Spot, after: _After) -> tuple[str, ...]:
        heads: tuple[str, ...] = ()
        for number in reversed(range(len(node.sequence))):
            heads = self.node(node.sequence[number], spot.at("sequence", number), after)
            after = _After(next_keys=heads, chain_join=after.chain_join)
        return heads

    def single(self, node: SingleNode, spot: _Spot, after: _After) -> tuple[str, ...]:
        is_pivot = isinstance(node, Step) and node.pivot
        key, action, template = _single(node)
        self.add(spot, after, key, action, node=node, template=template, is_pivot=is_pivot)
        return (spot.prefix + key,)

    def parallel(self, node: Parallel, spot: _Spot, after: _After) -> tuple[str, ...]:
        join = spot.prefix + node.parallel
        self.add(spot, after, node.parallel, JOIN, remaining=len(node.branches))
        heads: tuple[str, ...] = ()
        for number, branch in enumerate(node.branches):
            heads += self.node(branch, spot.at("branches", number), _After.into(join))
        return heads

    def map(self, node: Map, spot: _Spot, after: _After) -> tuple[str, ...]:
        join = spot.prefix + node.map
        inner = replace(
            spot.at("do"),
            prefix=body_prefix(join),
            body_key=join,
            collect_key=join if node.on_item_failure == "collect" else spot.collect_key,
            has_item=True,
        )
        heads = self.node(node.do, inner, _After.into(join))
        self.add(
            spot,
            after,
            node.map,
            JOIN,
            block=node,
            item_heads=tuple(head.removeprefix(inner.prefix) for head in heads),
            result_key=inner.prefix + result_name(node.do),
        )
        start = _After(chain_join=after.chain_join)
        template = {"items": dict(node.over)}
        self.add(spot, start, expand_of(node.map), EXPAND, block=node, template=template)
        return (expand_of(join),)

    def choice(self, node: Choice, spot: _Spot, after: _After) -> tuple[str, ...]:
        join = spot.prefix + node.choice
        given = [
            (case.when, case.do, spot.at("cases", n, "do")) for n, case in enumerate(node.cases)
        ]
        if node.otherwise is not None:
            given.append(("", node.otherwise, spot.at("otherwise")))
        ways = []
        for when, do, place in given:
            before = set(self.steps)
            heads = self.node(do, place, _After.into(join))
            # Leave out the rows of maps and loops inside: they are added when that block starts.
            keys = tuple(
                key
                for key in self.steps
                if key not in before and self.steps[key].body_key == spot.body_key
            )
            ways.append(Way(when or None, heads, keys, spot.prefix + result_name(do)))
        self.add(spot, after, node.choice, JOIN, remaining=1, ways=tuple(ways))
        start = _After(chain_join=after.chain_join)
        self.add(spot, start, choose_of(node.choice), CHOOSE, ways=tuple(ways))
        return (choose_of(join),)

    def loop(self, node: Loop, spot: _Spot, after: _After) -> tuple[str, ...]:
        join = spot.prefix + node.loop
        until = until_of(join)
        inner = replace(spot.at("do"), prefix=body_prefix(join), body_key=join)
        end = _After(next_keys=(until,), chain_join=after.chain_join)
        heads = self.node(node.do, inner, end)
        result = inner.prefix + result_name(node.do)
        turn = replace(spot, body_key=join)
        start = _After(chain_join=after.chain_join)
        self.add(turn, start, until_of(node.loop), TURN, block=node, result_key=result)
        names = tuple(head.removeprefix(inner.prefix) for head in heads)
        self.add(
            spot, after, node.loop, JOIN, block=node, remaining=1, item_heads=names,
            result_key=result,
        )  # fmt: skip
        self.add(spot, start, expand_of(node.loop), TURN, block=node)
        return (expand_of(join),)


def _single(node: SingleNode) -> tuple[str, str, Any]:
    """The key, the action and the input template of a node that becomes a single row."""
    match node:
        case Step():
            return node.step, node.action, node.with_
        case Wait() if node.event is not None:
            return node.wait, EVENT, {}
        case Wait():
            # The duration or instant may be a reference, so it is rendered like an input.
            given = {"for": node.for_, "until": node.until}
            return node.wait, WAIT, {k: v for k, v in given.items() if v is not None}
        case Approval():
            asked = {"by": node.by, "show": node.show}
            return node.approval, APPROVAL, {k: v for k, v in asked.items() if v}
        case Child():
            return node.workflow, CHILD, {"input": node.with_}


def result_name(node: Any) -> str:
    """The key, without its prefix, of the row that contains the node's output."""
    if isinstance(node, Sequence):
        return result_name(node.sequence[-1])
    names = ("step", "parallel", "map", "choice", "wait", "approval", "workflow", "loop")
    return next(str(getattr(node, name)) for name in names if hasattr(node, name))


def compile_plan(definition: Definition) -> Plan:
    """Lay out a definition and check its references.

    Raise DefinitionInvalid at the first fault.
    """
    layout = _Layout()
    heads = layout.node(definition.do, _Spot(), _After())
    steps, done = walk(definition.do, layout.steps)
    return Plan(
        name=definition.name,
        steps=steps,
        heads=heads,
        output=definition.output,
        output_references=output_references(definition.output, done),
        timeout=checked_timeout(definition.timeout),
        output_schema=definition.output_schema,
        is_holding=definition.on_failure == "hold",
        pivot=check_pivot(steps),
        budget=definition.budget,
    )
