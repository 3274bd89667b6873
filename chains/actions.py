"""Collects all actions: those of the platforms, and those that call no platform (such as joins)."""

from functools import lru_cache

import tasks
from app.platform import Action
from chains.incoming import awaiting, emitting
from chains.running import shape_actions
from chains.starting import children


@lru_cache(maxsize=1)
def actions() -> dict[str, Action]:
    """Every action that a step can use, by the action's name."""
    child = shape_actions.child_action(children.start, children.stop)
    own = (*shape_actions.ACTIONS, child, awaiting.ACTION, emitting.ACTION)
    return {**tasks.actions(), **{action.name: action for action in own}}
