"""Filters of events: what they read of a workflow, and by which value they are found.

A wait keeps the values that its filter reads beside the event, so that nothing else of the workflow
is read when an event comes. If the filter compares a value of the event with one that is known, the
wait has a *key*, and only events that have this key too can fulfil the filter. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from zlib import crc32

from jmespath.exceptions import JMESPathError

from app.platform import Json
from chains.language.evaluation import Meter, TooMuch, evaluated
from chains.language.expressions import CHAINED, parse

EVENT = "event"
_KEYED = frozenset({"data", "subject"})
NO_KEY = 0
_MOST_KEYS = 500
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


def key_of(condition: str | None, values: Json) -> int:
    """The key that every event has for which a condition is true; NO_KEY if none is known.

    >>> event = {"data": {"order": 7.0, "more": [1]}, "subject": "eu"}
    >>> condition = "event.data.order == input.order && event.source == 'a'"
    >>> key_of(condition, {"input": {"order": 7}}) in keys_of(event)
    True
    >>> key_of(condition, {"input": {"order": 8}}) in keys_of(event)
    False
    >>> key_of("event.data.order > `3`", {}) == NO_KEY
    True
    """
    for tree in _conjuncts(parse(condition).parsed) if condition else ():
        if tree["type"] != "comparator" or tree["value"] != "eq":
            continue
        for one, other in (tree["children"], tree["children"][::-1]):
            path = _path_in_event(one)
            key = _key(path, _value(other, values)) if path else None
            if key is not None:
                return key
    return NO_KEY


def keys_of(event: Json) -> list[int] | None:
    """The keys of an event, one for each short text and whole number at a path of names in its
    `data` and its `subject`; None if there are too many."""
    found: set[int] = set()
    waiting: list[tuple[Path, Any]] = [((name,), event.get(name)) for name in sorted(_KEYED)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping):
            if len(waiting) + len(value) > _MOST_KEYS:
                return None
            waiting += [((*path, name), each) for name, each in value.items()]
            continue
        key = _key(path, value)
        if key is not None:
            found.add(key)
    return sorted(found) if len(found) <= _MOST_KEYS else None


def _key(path: Path, value: Any) -> int | None:
    """A number for a value at a path, the same for numbers that are equal."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        if len(value) > _LONGEST_KEY:
            return None
    elif not isinstance(value, int) or isinstance(value, bool) or abs(value) >= _GREATEST_KEY:
        return None
    text = "\0".join((*path, type(value).__name__, str(value)))
    # Two values may have one key: the filter is evaluated in any case.
    number = crc32(text.encode("utf-8", "surrogatepass"))
    return number - 2**31 or 1


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


def _value(tree: Tree, values: Json) -> Any:
    """The value of a part that reads nothing of the event; None if it does, or fails."""
    if any(path[:1] in {(EVENT,), ()} for path in _paths(tree)):
        return None
    try:
        return evaluated(tree, values, Meter())
    except (ArithmeticError, TypeError, ValueError, JMESPathError, TooMuch):
        return None
