"""Filters of events: what they read of a workflow, and by which value they are found.

A wait keeps the values that its filter reads beside the event, so that nothing else of the workflow
is read when an event comes. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jmespath.exceptions import JMESPathError

from app.platform import Json
from chains.language.evaluation import Meter, TooMuch, evaluated
from chains.language.expressions import CHAINED, parse

EVENT = "event"
_KEYED = frozenset({"data", "subject"})
_LONGEST_KEY = 200
_GREATEST_KEY = 2**53

Path = tuple[str, ...]
Tree = Mapping[str, Any]


def paths_read(condition: str) -> list[Path]:
    """The plain paths that a condition reads from its scope, in the order of their first use.

    >>> paths_read("event.data.order == input.order && length(input.items[0].parts) > `1`")
    [('event', 'data', 'order'), ('input', 'order'), ('input', 'items')]
    """
    return list(dict.fromkeys(_paths(parse(condition).parsed)))


def _paths(tree: Tree) -> Iterator[Path]:
    kind = tree["type"]
    children = [child for child in tree.get("children", []) if isinstance(child, Mapping)]
    if kind == "field" or (kind == "subexpression" and children[0]["type"] == "field"):
        yield _plain(tree)
    elif kind in CHAINED:
        yield from _paths(children[0])
    elif kind != "expref":  # an expression after `&` reads each element, not the scope
        for child in children:
            yield from _paths(child)


def _plain(tree: Tree) -> Path:
    """The names at the beginning of a path."""
    names: list[str] = []
    for each in [tree] if tree["type"] == "field" else tree["children"]:
        if each["type"] != "field":
            break
        names.append(each["value"])
    return tuple(names)


def values_read(condition: str, scope: Json) -> Json:
    """The part of a scope that a condition reads beside the event: it is true in this part, with an
    event, when it is true in the whole.

    >>> values_read("event.data.n == input.n", {"input": {"n": 1, "m": 2}, "item": None})
    {'input': {'n': 1}}
    """
    read = {path for path in paths_read(condition) if path[0] != EVENT}
    found: Json = {}
    for path in sorted(read):
        if any(path[:length] in read for length in range(1, len(path))):
            continue  # a shorter path has it with it
        value: Any = scope
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        place = found
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return found


def key_of(condition: str | None, values: Json) -> tuple[Path, str | int | None]:
    """A path in the event and the value that it has in every event for which a condition is true.

    The path begins below the event. Without such a path: an empty one, and None.

    >>> key_of("event.data.order == input.order && event.source == 'a'", {"input": {"order": 7}})
    (('data', 'order'), 7)
    >>> key_of("event.data.order > `3`", {})
    ((), None)
    """
    for tree in _conjuncts(parse(condition).parsed) if condition else ():
        if tree["type"] != "comparator" or tree["value"] != "eq":
            continue
        for one, other in (tree["children"], tree["children"][::-1]):
            path = _path_in_event(one)
            value = _value(other, values) if path else None
            if path and value is not None:
                return path, value
    return (), None


def _conjuncts(tree: Tree) -> Iterator[Tree]:
    if tree["type"] == "and_expression":
        for child in tree["children"]:
            yield from _conjuncts(child)
    else:
        yield tree


def _path_in_event(tree: Tree) -> Path:
    """The names of a path such as event.data.order, without the first; empty for another part."""
    if tree["type"] != "subexpression" or len(_plain(tree)) != len(tree["children"]):
        return ()
    first, *rest = _plain(tree)
    return tuple(rest) if first == EVENT and rest[0] in _KEYED else ()


def _value(tree: Tree, values: Json) -> str | int | None:
    """The value of a part that reads nothing of the event, if events can be found by it."""
    if any(path[:1] in {(EVENT,), ()} for path in _paths(tree)):
        return None
    try:
        found = evaluated(tree, values, Meter())
    except (ArithmeticError, TypeError, ValueError, JMESPathError, TooMuch):
        return None
    if isinstance(found, str) and len(found) <= _LONGEST_KEY:
        return found
    is_whole = isinstance(found, int) and not isinstance(found, bool)
    return found if is_whole and abs(found) < _GREATEST_KEY else None
