"""The nodes from which a fork may start: the children of the definition's root sequence. Pure."""

from dataclasses import dataclass
from typing import Any

from app.keys import template_of
from chains.language.definition import KINDS, Sequence
from chains.plans.plan import Plan


@dataclass(frozen=True)
class Boundary:
    """A child of the root sequence.

    `name` is its key, `keys` are the key templates of its rows, and `heads` are the keys of the
    rows with which it starts.
    """

    name: str
    keys: frozenset[str]
    heads: tuple[str, ...]


@dataclass(frozen=True)
class Boundaries:
    """The children of a definition's root sequence, in order."""

    children: tuple[Boundary, ...]

    def holder(self, key: str) -> Boundary | None:
        """The child that is the step with this concrete key or contains that step; None if there
        is no such step."""
        wanted = template_of(key)
        for child in self.children:
            if wanted == child.name or wanted in child.keys:
                return child
        return None

    def before(self, child: Boundary) -> frozenset[str]:
        """The key templates of all rows of the children that come before `child`."""
        at = self.children.index(child)
        return frozenset().union(*(earlier.keys for earlier in self.children[:at]))


def boundaries(root: Any, plan: Plan) -> Boundaries:
    """The children of the root sequence. If the root is not a sequence, it is the only child."""
    nodes = list(root.sequence) if isinstance(root, Sequence) else [root]
    keys: list[set[str]] = [set() for _ in nodes]
    for step in plan.steps.values():
        keys[_child_of(root, step.place)].add(step.key)
    children = []
    for at, node in enumerate(nodes):
        follows = {key for each in keys[at - 1] for key in plan.steps[each].next_keys}
        heads = tuple(key for key in plan.steps if key in follows & keys[at])
        children.append(
            Boundary(_name(node), frozenset(keys[at]), tuple(plan.heads) if at == 0 else heads)
        )
    return Boundaries(tuple(children))


def _child_of(root: Any, place: tuple[tuple[str, int], ...]) -> int:
    return place[0][1] if isinstance(root, Sequence) else 0


def _name(node: Any) -> str:
    """The node's key. A sequence has no key, so the key of its first child is used."""
    while isinstance(node, Sequence):
        node = node.sequence[0]
    return str(next(getattr(node, kind) for kind in KINDS if hasattr(node, kind)))
