"""Finds the steps of a stopping workflow that can be undone now. Pure.

Sequences are undone in reverse order. The parts of parallel blocks and maps are undone at the same
time. A step that is not undone yet delays only the steps that come before it in its sequence.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.keys import indexes_of
from chains.plans.plan import Place, Plan


class Standing(enum.Enum):
    """The state of a step while its workflow is undone."""

    CLEAR = "nothing left to undo"
    DUE = "to be undone"
    HELD = "being undone, or of unknown outcome"


@dataclass
class _Branch:
    children: dict[tuple[str, int], "_Branch"] = field(default_factory=dict)
    key: str | None = None


def frontier(plan: Plan, standings: Mapping[str, Standing]) -> tuple[list[str], bool]:
    """The keys of the steps to undo now, and whether every step has nothing left to undo.

    `standings` contains the standing of each step by its concrete key.
    """
    root = _Branch()
    for key in standings:
        branch = root
        for part in _place(plan, key):
            branch = branch.children.setdefault(part, _Branch())
        branch.key = key
    ready, is_settled = _visit(root, standings)
    return sorted(ready), is_settled


def _place(plan: Plan, key: str) -> Place:
    """The path of nodes to the step, with the numbers of its map items and loop turns filled in."""
    indexes = iter(indexes_of(key))
    return tuple(
        (kind, next(indexes)) if kind in {"map", "loop"} else (kind, at)
        for kind, at in plan.step(key).place
    )


def _visit(branch: _Branch, standings: Mapping[str, Standing]) -> tuple[list[str], bool]:
    if branch.key is not None:
        standing = standings[branch.key]
        due = [branch.key] if standing is Standing.DUE else []
        return due, standing is Standing.CLEAR
    ready: list[str] = []
    is_settled = True
    for _, child in _in_reverse(branch):
        found, is_child_settled = _visit(child, standings)
        ready += found
        is_settled = is_settled and is_child_settled
        if not is_child_settled and _is_sequence(branch):
            break
    return ready, is_settled


def _in_reverse(branch: _Branch) -> Iterable[tuple[tuple[str, int], _Branch]]:
    return sorted(branch.children.items(), key=lambda item: item[0], reverse=True)


def _is_sequence(branch: _Branch) -> bool:
    return next(iter(branch.children))[0] in {"sequence", "loop"}
