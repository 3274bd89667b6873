"""The types of workflow that can be started."""

from typing import Any

from app import queries
from web.api import blueprint, problems
from web.schemas import DefinitionList

api = blueprint("definitions", "Definitions")


@api.get(
    "/definitions",
    summary="Types of workflow and the schemas of their input",
    responses={200: DefinitionList, **problems()},
)
def list_definitions() -> dict[str, Any]:
    """The active version of each."""
    return {"items": queries.definitions()}
