"""Workers of other releases: an action whose input looked otherwise when a definition was checked.

A version of a definition keeps a fingerprint of each of its actions' inputs. Where a worker's own
differs and it refuses an input, nobody can say that the input is wrong: the step is left to another
worker. Only the schema tells; a check in code alone that a release has changed is not seen.
"""

import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from app.errors import Permanent
from app.platform import Action, ActionInput, Json

_WORDS = frozenset({"title", "description", "examples", "$comment"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
"""Keywords whose values are schemas by names, which may be any words."""


class Misfit(Exception):
    """This worker's release cannot run the step, another's may; `error` says why the step waits."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.error: Json = {"code": code, "message": message}


@lru_cache(maxsize=512)
def fingerprint(model: type[ActionInput]) -> str:
    """The same for the same JSON Schema, whatever its words for people."""
    schema = _without_words(model.model_json_schema(by_alias=True))
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _without_words(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_words(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {key: _without_words(inner) for key, inner in value.items()}
        if name in _NAMED
        else _without_words(value)
        for name, value in schema.items()
        if name not in _WORDS
    }


def leave_if_other(
    action: Action, checked_with: Callable[[str], str | None], refusal: Permanent
) -> None:
    """Raise Misfit where this worker's action is not the one that the definition was checked with
    (`checked_with(action)`, None where nobody knows), so that its refusal of an input says nothing.
    """
    known = checked_with(action.name)
    if known is None or known == fingerprint(action.input):
        return
    raise Misfit(
        "action_differs",
        f"the worker that took the step knows {action.name} of another release than the definition"
        f" was checked with, and refuses the {refusal.message}; the step waits for one that takes"
        " it",
    ) from refusal
