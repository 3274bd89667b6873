"""Finds the names to which each row may refer: the nodes that end before the row starts. Pure."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from app.keys import body_prefix, choose_of, expand_of, name_of, until_of
from chains.language.definition import Choice, Loop, Map, Parallel, Sequence
from chains.language.expressions import ExpressionInvalid, expressions, roots, step_references
from chains.language.faults import near
from chains.plans.plan import (
    DefinitionInvalid,
    Place,
    PlannedStep,
    Scope,
)

OF_OUTPUT: Set[str] = frozenset({"input", "steps", "workflow"})
"""The names that the workflow's output may read."""
OF_STEP: Set[str] = OF_OUTPUT | {"now"}
"""The names that every step may read."""
_FILTER = "/event/filter"
_ONLY_IN = {
    "event": "only the `filter` of a wait for an event has one",
    "item": "only the body of a map has an item",
    "index": "only the body of a map or a loop has an index",
    "now": "only a step has a time at which it became ready",
}


def walk(root: Any, steps: Mapping[str, PlannedStep]) -> tuple[dict[str, PlannedStep], Scope]:
    """Fill in the positions, scopes and places of the steps.

    Return (the steps in the order of the definition, the names of the nodes that have ended at the
    workflow's end). Raise DefinitionInvalid if a reference is wrong.
    """
    visited = _Walk()
    done = visited.node(root, "", {})
    found = {
        key: _with_scope(steps[key], position, scope, visited.places[key])
        for position, (key, scope) in enumerate(visited.scopes.items())
    }
    return found, done


def output_references(output: Any, done: Scope) -> frozenset[str]:
    """The names of the steps that the workflow's output reads.

    Raise DefinitionInvalid if a name is not in `done`.
    """
    return frozenset(_check(expressions(output), "/output", done, OF_OUTPUT))


def checked_timeout(timeout: Any) -> Any:
    """The workflow's time-out.

    Raise DefinitionInvalid if it is a reference that reads more than the input: it is made when the
    workflow starts.
    """
    _check(expressions(timeout), "/timeout", {}, frozenset({"input"}))
    return timeout


def check_pivot(steps: Mapping[str, PlannedStep]) -> str | None:
    """The key of the pivot (the step after which nothing is undone); None if there is no pivot.

    Raise DefinitionInvalid if there are several, or if the pivot is in a wrong place.
    """
    pivots = [step for step in steps.values() if step.is_pivot]
    if len(pivots) > 1:
        raise DefinitionInvalid(pivots[1].pointer, "a definition has one pivot at most")
    for pivot in pivots:
        if pivot.body_key is not None:
            raise DefinitionInvalid(pivot.pointer, "the pivot cannot stand in a map or a loop")
        for step in steps.values():
            if step.other_compensation is not None and pivot.key in step.scope:
                raise DefinitionInvalid(
                    f"{step.pointer}/compensation",
                    f"never runs: nothing is undone after the pivot {pivot.key!r} has succeeded",
                )
    return pivots[0].key if pivots else None


@dataclass
class _Walk:
    """Visits the nodes in order, and notes the scope and the place of each row."""

    scopes: dict[str, Scope] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)

    def node(self, node: Any, prefix: str, done: Scope, place: Place = ()) -> Scope:
        """Note the rows of a node; return the scope of the node that follows.

        A scope maps the name of each node that has ended to its key template; `done` is the scope
        of this node.
        """
        match node:
            case Sequence():
                for at, child in enumerate(node.sequence):
                    done = self.node(child, prefix, done, (*place, ("sequence", at)))
                return done
            case Parallel():
                after = dict(done)
                for at, branch in enumerate(node.branches):
                    after |= self.node(branch, prefix, done, (*place, ("parallel", at)))
                return self.note(node.parallel, prefix, after, place)
            case Map():
                self.note(expand_of(node.map), prefix, done, place)
                self.node(node.do, prefix + body_prefix(node.map), done, (*place, ("map", 0)))
                return self.note(node.map, prefix, done, place)
            case Choice():
                return self.choice(node, prefix, done, place)
            case Loop():
                self.note(expand_of(node.loop), prefix, done, place)
                inside = prefix + body_prefix(node.loop)
                ended = self.node(node.do, inside, done, (*place, ("loop", 0)))
                self.note(until_of(node.loop), prefix, ended, place)
                return self.note(node.loop, prefix, done, place)
            case _:
                names = ("step", "wait", "approval", "workflow")
                name = next(getattr(node, name) for name in names if hasattr(node, name))
                return self.note(name, prefix, done, place)

    def choice(self, node: Choice, prefix: str, done: Scope, place: Place) -> Scope:
        self.note(choose_of(node.choice), prefix, done, place)
        after = dict(done)
        ways = [case.do for case in node.cases]
        for at, way in enumerate(ways if node.otherwise is None else [*ways, node.otherwise]):
            after |= self.node(way, prefix, done, (*place, ("choice", at)))
        return self.note(node.choice, prefix, after, place)

    def note(self, name: str, prefix: str, done: Scope, place: Place) -> Scope:
        self.scopes[prefix + name] = done
        self.places[prefix + name] = place
        return {**done, name: prefix + name}


def _with_scope(step: PlannedStep, position: int, scope: Scope, place: Place) -> PlannedStep:
    names = _check(
        _labelled(step),
        step.pointer,
        scope,
        OF_STEP
        | ({"item"} if step.has_item else set())
        | ({"index"} if step.body_key is not None else set()),
    )
    _check_compensation(step, {**scope, name_of(step.key): step.key})
    return replace(
        step,
        position=position,
        scope=scope,
        place=place,
        references=frozenset(scope[name] for name in names),
    )


def _labelled(step: PlannedStep) -> Iterator[tuple[str, Any]]:
    """Every expression that the row reads, as pairs (pointer inside the node, expression)."""
    names = {"control.expand": "", "control.wait": "", "control.approval": ""}
    if step.event_filter is not None:
        yield _FILTER, step.event_filter
    base = names.get(step.action, "/with")
    for pointer, expression in expressions(step.template):
        if step.action == "control.expand":
            yield "/over", expression
        elif step.action == "control.child":
            yield f"/with{pointer.removeprefix('/input')}", expression
        else:
            yield f"{base}{pointer}", expression
    for _, expression in expressions(step.time_limit):
        yield "/timeout", expression
    for _, expression in expressions(step.attempt_limit):
        yield "/attempt_timeout", expression
    for number, condition in enumerate(step.conditions):
        if step.ways:
            yield f"/cases/{number}/when", condition
        else:
            yield "/when" if step.node is not None else "/until", condition


def _check_compensation(step: PlannedStep, scope: Scope) -> None:
    other = step.other_compensation
    if other is not None:
        allowed = OF_STEP | ({"item", "index"} if step.has_item else set())
        _check(expressions(other.with_), f"{step.pointer}/compensation/with", scope, allowed)


def _check(
    found: Iterator[tuple[str, Any]],
    path: str,
    scope: Mapping[str, str],
    names_of_all: Set[str],
) -> set[str]:
    """The names of the steps to which the expressions in `found` refer.

    Raise DefinitionInvalid if such a name is not in `scope`, or if an expression starts with a name
    that it may not read: one of `names_of_all`, and for the filter of events `event`.
    """
    names: set[str] = set()
    for pointer, expression in found:
        at = f"{path}{pointer}"
        allowed = names_of_all | {"event"} if pointer == _FILTER else names_of_all
        if not isinstance(expression, str):
            raise DefinitionInvalid(at, 'a reference is {"$": "<JMESPath>"}')
        try:
            unknown = roots(expression) - allowed
            referred = step_references(expression)
        except ExpressionInvalid as err:
            raise DefinitionInvalid(at, str(err)) from err
        if unknown:
            raise DefinitionInvalid(at, _unknown(min(unknown), allowed))
        for name in sorted(referred - set(scope)):
            raise DefinitionInvalid(
                at,
                f"step {name!r} does not exist or is not done before this one; done before are:"
                f" {', '.join(sorted(scope)[:20]) or 'none'}",
            )
        names |= referred
    return names


def _unknown(name: str, allowed: Set[str]) -> str:
    why = _ONLY_IN.get(name)
    hint = f" here: {why}" if why else near(name, allowed)
    return f"there is no name {name!r}{hint}; there are: {', '.join(sorted(allowed))}"
