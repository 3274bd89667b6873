"""Limits on the size of a definition's body, and on the values that PostgreSQL can store.

These checks run before any other code reads the body. They use no recursion, so a body that is
nested 100,000 levels deep, or that contains itself, is refused at level 65 and exhausts no stack.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

from chains.language.faults import Fault, Place, pointer

MAX_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_NODES = 2000
MAX_VALUES = 100_000
MAX_INTEGER = 2**63 - 1

_TOO_LARGE = f"a definition has at most {MAX_BYTES} bytes as JSON"


def excess(body: Any) -> Fault | None:
    """The first fault of a body: a limit that it exceeds, or a value that is not JSON. None if
    there is no fault."""
    found = next(_faults(body), None)
    if found is not None:
        return found
    if len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_BYTES:
        return "", _TOO_LARGE
    if _count_nodes(body) > MAX_NODES:
        return "/do", f"a definition has at most {MAX_NODES} nodes"
    return None


def _faults(body: Any) -> Iterator[Fault]:
    waiting: list[tuple[Place, Any]] = [((), body)]
    values = length = 0
    while waiting:
        place, value = waiting.pop()
        values += 1
        if values > MAX_VALUES:
            yield "", f"a definition has at most {MAX_VALUES} values"
        if len(place) > MAX_DEPTH:
            yield pointer(place[:4]), f"nested deeper than {MAX_DEPTH} levels"
        if isinstance(value, dict):
            waiting.extend(((*place, name), item) for name, item in reversed(value.items()))
            length += sum(map(len, filter(_is_text, value)))
            words = next(filter(None, map(_name_fault, value)), None)
        elif isinstance(value, list | tuple):
            waiting.extend(((*place, n), value[n]) for n in reversed(range(len(value))))
            words = None
        else:
            length += len(value) if isinstance(value, str) else 1
            words = scalar_fault(value)
        if length > MAX_BYTES:
            yield "", _TOO_LARGE
        if words is not None:
            yield pointer(place), words


def _count_nodes(body: Any) -> int:
    """The number of nodes in a body, which may be of any shape, valid or not."""
    count = 0
    waiting = [body.get("do")] if isinstance(body, dict) else []
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict):
            continue
        count += "when" not in node or "do" not in node  # a case of a choice is not a node
        waiting += [node.get("do"), node.get("otherwise")]
        for name in ("sequence", "branches", "cases"):
            inner = node.get(name)
            waiting += inner if isinstance(inner, list | tuple) else []
    return count


def scalar_fault(value: Any) -> str | None:
    """The reason why PostgreSQL cannot store a text, number or constant as JSON; None if it can."""
    if isinstance(value, str):
        return text_fault(value)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return "NaN and Infinity are not JSON" if value != value else "the number is too large"
        return "the number is too large" if _is_too_large(value) else None
    if isinstance(value, int):
        return "the whole number is too large" if abs(value) > MAX_INTEGER else None
    return f"a {type(value).__name__} is not JSON"


def text_fault(value: str) -> str | None:
    """The reason why PostgreSQL cannot store the text; None if it can."""
    if "\x00" in value:
        return "the text holds a NUL character"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "the text holds half of a surrogate pair"
    return None


def _name_fault(name: Any) -> str | None:
    return text_fault(name) if isinstance(name, str) else "a name must be a text"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_too_large(value: float) -> bool:
    # A float with an integer value, such as 1e30, is later read as an integer.
    return value.is_integer() and abs(value) > MAX_INTEGER
