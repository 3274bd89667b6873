"""What a message knows of its workflow, so that the expressions of its steps need not read it.

Only what never changes is kept: the input, and the outputs of steps that have succeeded. It is kept
in the form in which PostgreSQL would return it.
"""

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.platform import Json

MOST_STEPS = 256
MOST_PARTS = 2048
"""The largest output that is kept: its values, and the characters of its texts."""


class _TooLarge(Exception):
    """An output has more than MOST_PARTS."""


@dataclass(slots=True)
class Known:
    """The facts of one workflow that one message has come to know.

    `workflow` is {id, type, user_id, started_at, input}. `steps` are {key, output, status, error},
    by key.
    """

    workflow: Json | None = None
    steps: dict[str, Json] = field(default_factory=dict)

    def note(self, key: str, output: Any) -> None:
        """Keep the output of a step whose success is recorded, if it is small."""
        if len(self.steps) >= MOST_STEPS:
            return
        try:
            kept = stored(output)
        except _TooLarge:
            return
        self.steps[key] = {"key": key, "output": kept, "status": "succeeded", "error": None}


def stored(value: Any) -> Any:
    """A copy of a JSON value as jsonb gives it back. Raises an error if it is large.

    jsonb sorts the names of an object by their length in bytes, and has no exponents, so that a
    large float comes back as an integer.

    >>> stored({"long": 1e22, "a": -0.0})
    {'a': 0.0, 'long': 10000000000000000000000}
    """
    return _copy(value, [MOST_PARTS])


def _copy(value: Any, room: list[int]) -> Any:
    room[0] -= 1 + len(value) if isinstance(value, str) else 1
    if room[0] < 0:
        raise _TooLarge
    if isinstance(value, float):
        text = repr(value)
        return json.loads(format(Decimal(text), "f")) if "e" in text else value + 0.0
    if isinstance(value, dict | list) and len(value) > room[0]:
        raise _TooLarge  # at once, because the names of an object are sorted
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (len(name.encode()), name.encode()))
        return {_copy(name, room): _copy(value[name], room) for name in names}
    if isinstance(value, list):
        return [_copy(item, room) for item in value]
    return value
