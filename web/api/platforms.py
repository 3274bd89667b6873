"""The state of the platforms."""

from flask import Response, jsonify

from app import queries
from app.queries.batches import open_batches
from web.api import blueprint, problems
from web.auth import is_operator
from web.schemas.platforms import PlatformList

api = blueprint("platforms", "Platforms")


@api.get(
    "/platforms",
    summary="The state of the platforms",
    responses={200: PlatformList, **problems()},
)
def list_platforms() -> Response:
    """Whether each platform serves this installation. Steps of a platform that refuses the
    credential or has no credit left wait, and go on by themselves once that is corrected."""
    known = open_batches() if is_operator() else None
    items = [
        state | {"batches": None if known is None else known.get(state["platform"], [])}
        for state in queries.platform_states()
    ]
    return jsonify({"items": items})
