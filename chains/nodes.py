"""The two steps that belong to no platform but to the shape of a definition: join and expand."""

from typing import Any

from app.call import Call
from app.platform import Action, ActionInput, Effect, Json
from chains.plan import EXPAND, JOIN


class NodeInput(ActionInput):
    """The outputs that a map's join collects, or the items that its head expands."""

    items: list[Any] | None = None


def _join(call: Call, given: NodeInput) -> Any:
    """A map's output is the list of its bodies' outputs in order; a parallel block has none."""
    return given.items


def _expand(call: Call, given: NodeInput) -> Json:
    """The rows of the items are added when this is recorded."""
    return {"count": len(given.items or [])}


ACTIONS: dict[str, Action] = {
    JOIN: Action(JOIN, NodeInput, _join, Effect.NONE, attempt_seconds=30.0),
    EXPAND: Action(EXPAND, NodeInput, _expand, Effect.NONE, attempt_seconds=30.0),
}
