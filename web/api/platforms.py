"""The state of the platforms."""

from flask import Response, jsonify

from app import queries
from app.queries.batches import open_batches
from web.api import blueprint, problems
from web.auth import caller, is_operator
from web.schemas.platforms import PlatformList

api = blueprint("platforms", "Platforms")


@api.get(
    "/platforms",
    summary="The state of the platforms",
    responses={200: PlatformList, **problems()},
)
def list_platforms() -> Response:
    """Whether each platform serves this installation. Steps of a platform that refuses the
    credential or has no credit left wait, and go on by themselves once that is corrected.

    `allowances` are what your organisation uses of what is allowed at platforms; an admin key also
    sees what all use."""
    known = open_batches() if is_operator() else None
    items = [
        state | {"batches": None if known is None else known.get(state["platform"], [])}
        for state in queries.platform_states()
    ]
    used = queries.allowances(caller(), is_operator=is_operator())
    return jsonify({"items": items, "allowances": used})
