"""The actions that definitions may use."""

from typing import Any

from chains.actions import actions
from chains.catalogue.offered import offered, offered_action
from web.api import blueprint, problems
from web.schemas.actions import Action, ActionList, ActionPath

api = blueprint("actions", "Actions")


@api.get(
    "/actions",
    summary="List the actions that a step may use",
    responses={200: ActionList, **problems()},
)
def list_actions() -> dict[str, Any]:
    """Each with the schemas of its input and output, its effect, how it is undone, and an
    example."""
    return {"items": offered(actions())}


@api.get(
    "/actions/<string:name>",
    summary="Get one action",
    responses={200: Action, **problems(404)},
)
def get_action(path: ActionPath) -> dict[str, Any]:
    """As in the list of actions."""
    return offered_action(actions(), path.name)
