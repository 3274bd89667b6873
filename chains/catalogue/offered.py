"""The actions that a step may use, as authors of definitions see them. Reads no store."""

import inspect
from collections.abc import Mapping
from typing import Any

from app.broker.links import queue_of
from app.errors import NotConfigured, NotFound
from app.payload import text_of
from app.platform import Action, Json
from chains.language.faults import near
from chains.plans.validation import ENGINES_OWN

CHOSEN = "chosen"
"""The effect of an action of which each step says itself what a second call would do."""


def offered(known: Mapping[str, Action]) -> list[Json]:
    """Every action, by name. Those of the engine are left out: a step cannot use them."""
    return [_described(known[name]) for name in sorted(known.keys() - ENGINES_OWN)]


def offered_action(known: Mapping[str, Action], name: str) -> Json:
    """One action; raise NotFound, with the names that resemble `name`, if there is none."""
    if name not in known or name in ENGINES_OWN:
        usable = sorted(known.keys() - ENGINES_OWN)
        hint = near(name, usable) or f"; there are: {', '.join(usable)}"
        raise NotFound(f"there is no action {name[:80]!r}{hint}")
    return _described(known[name])


def _described(action: Action) -> Json:
    key_life = action.key_life
    return {
        "name": action.name,
        "platform": action.platform,
        "queue": queue_of(action.name),
        "description": _first_paragraph(action.run),
        "effect": str(action.effect) if action.contract_of is None else CHOSEN,
        "compensation": _first_paragraph(action.compensate),
        "has_lookup": action.lookup is not None,
        "tries": action.tries,
        "attempt_seconds": action.attempt_seconds,
        "key_life_seconds": None if key_life is None else key_life.total_seconds(),
        "is_slow": action.slow,
        "example": action.example,
        "example_cost_ceiling_micro_usd": _ceiling(action),
        "input_schema": action.input.model_json_schema(by_alias=True),
        "output_schema": None if action.output is None else action.output.model_json_schema(),
    }


def _ceiling(action: Action) -> int | None:
    """The most that a step with the example's input may cost; None if that is not known."""
    if action.ceiling is None or action.example is None:
        return None
    given = action.input.model_validate_json(text_of(action.example))
    try:
        return action.ceiling(given)
    except NotConfigured:
        # The price depends on a setting that only the platform's workers need.
        return None


def _first_paragraph(function: Any) -> str | None:
    """The first paragraph of a function's docstring, in one line."""
    text = None if function is None else inspect.getdoc(function)
    return " ".join(text.split("\n\n")[0].split()) if text else None
