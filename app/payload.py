"""Makes JSON that PostgreSQL accepts: a step whose outcome cannot be recorded would be run again.

What jsonb refuses (NUL, lone surrogates, NaN) is removed or replaced. A text that is too large
raises an error. Its size is counted in bytes of UTF-8, as PostgreSQL stores it.
"""

import json
import math
from typing import Any

from app.errors import Permanent

MAX_BYTES = 4 * 1024 * 1024
TOO_LARGE = "payload_too_large"
"""The code of the error that `dumps` raises."""

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def clean(value: Any) -> Any:
    """Copy `value` without what jsonb refuses. A value that JSON does not know becomes its text.

    >>> clean({"a\\x00": [float("nan"), 1]})
    {'a': [None, 1]}
    """
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, dict):
        return {_clean_text(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return _clean_text(str(value))


def whole_numbers(value: Any) -> Any:
    """Copy `value` with each whole float as an integer.

    JSON has one type of number, but the inputs of actions distinguish integers from floats.

    >>> whole_numbers({"amount": 1000.0, "rate": 0.5})
    {'amount': 1000, 'rate': 0.5}
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole_numbers(item) for item in value]
    return value


def merged(value: Any, patch: Any) -> Any:
    """The value with the changes of a JSON merge patch (RFC 7396).

    An object in the patch changes the fields that it names, at any depth, and its nulls remove
    fields. Anything else in the patch, also a list, replaces what was there.

    >>> merged({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2, 3]}, "d": None})
    {'a': {'b': 1, 'c': [2, 3]}}
    """
    if not isinstance(patch, dict):
        return patch
    found = dict(value) if isinstance(value, dict) else {}
    for name, change in patch.items():
        if change is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), change)
    return found


def _clean_text(text: str) -> str:
    if "\x00" in text:
        text = text.replace("\x00", "")
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def text_of(value: Any) -> str:
    """Compact JSON text that jsonb accepts, of any size."""
    return _COMPACT.encode(clean(value))


def dumps(value: Any) -> str:
    """Like `text_of`, but raises Permanent with the code TOO_LARGE if it is over MAX_BYTES."""
    if type(value) is dict and not value:
        # Most inputs and outputs of control steps are empty. They need no cleaning.
        return "{}"
    text = text_of(value)
    size = len(text) if text.isascii() else len(text.encode())
    if size > MAX_BYTES:
        raise Permanent(
            f"a payload of {size} bytes is over the limit of {MAX_BYTES}", code=TOO_LARGE
        )
    return text


def dumps_or_none(value: Any) -> str | None:
    """Like `dumps`, but None stays None, which is NULL in SQL."""
    return None if value is None else dumps(value)
