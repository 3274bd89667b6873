"""Makes JSON that PostgreSQL accepts: a step whose outcome cannot be recorded would be run again.

What jsonb refuses (NUL, lone surrogates, NaN) is removed or replaced. A text that is too large
raises an error.
"""

import json
import math
from typing import Any

from app.errors import Permanent

MAX_CHARACTERS = 4 * 1024 * 1024


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


def _clean_text(text: str) -> str:
    if "\x00" in text:
        text = text.replace("\x00", "")
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def dumps(value: Any) -> str:
    """Compact JSON text that jsonb accepts. Raises Permanent if it is over MAX_CHARACTERS."""
    if type(value) is dict and not value:
        # Most inputs and outputs of control steps are empty. They need no cleaning.
        return "{}"
    text = json.dumps(clean(value), ensure_ascii=False, separators=(",", ":"))
    if len(text) > MAX_CHARACTERS:
        raise Permanent(
            f"a payload of {len(text)} characters is over the limit of {MAX_CHARACTERS}",
            code="payload_too_large",
        )
    return text


def dumps_or_none(value: Any) -> str | None:
    """Like `dumps`, but None stays None, which is NULL in SQL."""
    return None if value is None else dumps(value)
