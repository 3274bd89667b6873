"""Workers of different releases, whose versions of an action may accept different inputs.

Each version of a definition keeps a fingerprint of its actions' inputs, from the release that
checked it. If a worker's own fingerprint differs and it refuses an input, this does not prove that
the input is wrong, and the step is left to another worker. A fingerprint covers the JSON Schema
only: a check that a release has changed in code alone is not noticed.
"""

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from app.errors import Permanent
from app.platform import Action, ActionInput, Json

_TEXT_KEYWORDS = frozenset({"title", "description", "examples", "$comment"})
_MAP_KEYWORDS = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
"""Keywords whose values map names to schemas. Such a name may be any word, also a keyword."""


class Misfit(Exception):
    """This worker's release cannot run the step, but another release may.

    The engine then leaves the step to another worker. `error` says why the step waits.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.error: Json = {"code": code, "message": message}


@lru_cache(maxsize=512)
def fingerprint(model: type[ActionInput]) -> str:
    """A hash of the JSON Schema of an action's input, without its texts for people."""
    schema = _without_texts(model.model_json_schema(by_alias=True))
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _without_texts(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_texts(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {key: _without_texts(inner) for key, inner in value.items()}
        if name in _MAP_KEYWORDS
        else _without_texts(value)
        for name, value in schema.items()
        if name not in _TEXT_KEYWORDS
    }


def leave_if_other(
    action: Action, checked_with: Callable[[str], str | None], refusal: Permanent
) -> None:
    """Raise Misfit if this worker's action differs from the one that checked the definition.

    This worker's `refusal` of an input then proves nothing. `checked_with(action)` returns the
    fingerprint from that check, None if it is not known.
    """
    known = checked_with(action.name)
    if known is None or known == fingerprint(action.input):
        return
    raise Misfit(
        "action_differs",
        f"the worker that took the step knows {action.name} of another release than the one that"
        f" checked the definition, and refuses the {refusal.message}; the step waits for a worker"
        " that accepts it",
    ) from refusal
