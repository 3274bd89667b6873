"""Collects all actions: those of the platforms, and those that call no platform (such as joins)."""

from functools import lru_cache

import tasks
from app.platform import Action
from app.prompts import prompt_fields
from chains.incoming import awaiting, emitting
from chains.running import shape_actions
from chains.starting import children


@lru_cache(maxsize=1)
def actions() -> dict[str, Action]:
    """Every action that a step can use, by the action's name."""
    child = shape_actions.child_action(children.start, children.stop)
    own = (*shape_actions.ACTIONS, child, awaiting.ACTION, emitting.ACTION)
    found = {**tasks.actions(), **{action.name: action for action in own}}
    for each in found.values():
        prompt_fields(each.input)  # raises for a field that no step could fill
    return found
