"""Everything a step can call: the platforms' actions and those of the shape of a definition."""

from functools import lru_cache

import tasks
from app.platform import Action
from chains import children, nodes


@lru_cache(maxsize=1)
def actions() -> dict[str, Action]:
    """Every action by its name."""
    own = (*nodes.ACTIONS, nodes.child_action(children.start, children.stop))
    return {**tasks.actions(), **{action.name: action for action in own}}
