"""A definition's nodes in reading order, each with its JSON pointer. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chains.language.definition import (
    Choice,
    Definition,
    Loop,
    Map,
    OtherAction,
    Parallel,
    Sequence,
    Step,
)

KEY_FIELDS = ("step", "parallel", "map", "choice", "wait", "approval", "workflow", "loop")


@dataclass(frozen=True)
class Found:
    """A node, its JSON pointer, and the nodes that contain it, the root first."""

    node: Any
    pointer: str
    around: tuple[Any, ...] = ()


def nodes(definition: Definition) -> Iterator[Found]:
    """Every node of a definition; a node comes before the nodes inside it."""
    waiting = [Found(definition.do, "/do")]
    while waiting:
        found = waiting.pop()
        yield found
        around = (*found.around, found.node)
        inner = [Found(node, found.pointer + path, around) for path, node in children(found.node)]
        waiting.extend(reversed(inner))


def action_names(definition: Definition) -> set[str]:
    """The names of the actions that the definition's steps and their compensations use."""
    steps = [found.node for found in nodes(definition) if isinstance(found.node, Step)]
    others = [step.compensation for step in steps if isinstance(step.compensation, OtherAction)]
    return {step.action for step in steps} | {other.action for other in others}


def children(node: Any) -> Iterator[tuple[str, Any]]:
    """Each direct child of a node, as (pointer from the node, child)."""
    match node:
        case Sequence():
            for number, each in enumerate(node.sequence):
                yield f"/sequence/{number}", each
        case Parallel():
            for number, each in enumerate(node.branches):
                yield f"/branches/{number}", each
        case Map() | Loop():
            yield "/do", node.do
        case Choice():
            for number, case in enumerate(node.cases):
                yield f"/cases/{number}/do", case.do
            if node.otherwise is not None:
                yield "/otherwise", node.otherwise


def key_of(node: Any) -> str | None:
    """The node's key; None for a sequence, which has none."""
    return next((getattr(node, name) for name in KEY_FIELDS if hasattr(node, name)), None)
