"""Checks the declarations of a platform before any of its actions may run. Pure.

Invariant: everything that the engine assumes of an action is checked here, for our own platforms
and for those of other packages.
"""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from app.payload import text_of
from app.platform import Action, ActionInput, ActionOutput, Effect, Platform
from app.settings import PlatformSettings

KEY_MARGIN = timedelta(hours=1)
"""A call is not sent again under its key in the last hour of the key's life."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_VERB = re.compile(r"[a-z0-9_]{1,80}")
_TAKEN = ("control", "celery")


def faults(platform: Platform) -> Iterator[str]:
    """Yield one sentence for each fault in a platform's declarations."""
    if not _NAME.fullmatch(platform.name):
        yield f"the name {platform.name!r} must be lower-case letters, digits and _, a letter first"
    if platform.name in _TAKEN:
        yield f"the name {platform.name!r} is taken"
    yield from _settings_faults(platform)
    declared: tuple[Any, ...] = platform.actions
    for each in declared:
        if isinstance(each, Action):
            yield from (f"action {each.name!r} {fault}" for fault in _action_faults(platform, each))
        else:
            yield f"{each!r} among the actions is no Action: declare it by @action"
    names = Counter(each.name for each in declared if isinstance(each, Action))
    yield from (f"action {name!r} is declared twice" for name, count in names.items() if count > 1)


def _settings_faults(platform: Platform) -> Iterator[str]:
    settings: Any = platform.settings
    if settings is None:
        return
    if not (isinstance(settings, type) and issubclass(settings, PlatformSettings)):
        yield f"its settings are no subclass of PlatformSettings: {settings!r}"
        return
    prefix, wanted = settings.model_config.get("env_prefix"), f"{platform.name.upper()}_"
    if prefix != wanted:
        yield f"the env_prefix of its settings must be {wanted!r}, not {prefix!r}"


def _action_faults(platform: Platform, action: Action) -> Iterator[str]:
    name, _, verb = action.name.partition(".")
    if name != platform.name or not _VERB.fullmatch(verb):
        yield f"must be named {platform.name}.<verb>, in lower-case letters, digits and _"
    model: Any = action.input
    if not (isinstance(model, type) and issubclass(model, ActionInput)):
        yield f"has an input that is no subclass of ActionInput: {model!r}"
    if action.attempt_seconds <= 0 or action.tries < 1:
        yield "needs attempt_seconds above 0 and at least one try"
    if action.ceiling is not None and action.quick:
        yield "is quick, so it must cost nothing (@<action>.costs_at_most)"
    yield from _effect_faults(action)
    yield from _description_faults(action)


def _effect_faults(action: Action) -> Iterator[str]:
    if action.effect is Effect.LOOKUP and action.lookup is None:
        yield "has the effect lookup and declares no lookup (@<action>.looked_up)"
    if action.effect not in {Effect.LOOKUP, Effect.IDEMPOTENT} and action.lookup is not None:
        yield f"declares a lookup, so its effect must be lookup or idempotent, not {action.effect}"
    if action.effect is Effect.IDEMPOTENT and action.key_life is None:
        yield "has the effect idempotent and no key_life (how long the vendor knows a key)"
    if action.key_life is not None and action.key_life <= KEY_MARGIN:
        yield "has a key_life of an hour or less, and the last hour is never used"
    if action.is_traced and action.compensate is None:
        yield "names its effects and declares no compensation (@<action>.compensation)"
    if action.quick and (action.slow or action.effect is not Effect.NONE):
        yield "is quick, so it must not be slow and must have no effect"


def _description_faults(action: Action) -> Iterator[str]:
    output: Any = action.output
    if output is not None and not (isinstance(output, type) and issubclass(output, ActionOutput)):
        yield f"is described with an output that is no subclass of ActionOutput: {output!r}"
    if action.example is None:
        return
    try:
        action.input.model_validate_json(text_of(action.example))
    except ValidationError as err:
        place = "/".join(map(str, err.errors()[0]["loc"]))
        yield f"has an example that its own input refuses: {place}: {err.errors()[0]['msg']}"
