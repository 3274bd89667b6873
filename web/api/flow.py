"""Flow control: what waits for its start, and the limits, lanes, debounces and batches."""

from typing import Any
from uuid import UUID

from flask import Response

from app.queries import flow
from web.api import blueprint, problems
from web.auth import caller, is_operator
from web.bodies import JsonResponse
from web.schemas.flow import FlowQuery, FlowState

api = blueprint("flow", "Flow control")


@api.get(
    "/flow",
    summary="What waits for its start, and for what",
    responses={200: FlowState, **problems()},
)
def get_flow(query: FlowQuery) -> Response:
    """Your own workflows that wait, and open debounces and batches.

    An admin key also sees the limits, lanes and rate limits that are in use.
    """
    user_id, is_all = caller(), is_operator()
    chosen: dict[str, Any] = {"definition": query.definition, "most": query.limit}
    waiting = flow.waiting_starts(user_id)
    found = {
        "waiting": [each for each in waiting if query.definition in (None, each["type"])],
        "gatherings": flow.gatherings(user_id, is_operator=is_all, **chosen),
        "limits": flow.flow_limits(**chosen) if is_all else None,
        "lanes": flow.flow_lanes(**chosen) if is_all else None,
        "rates": flow.rates(**chosen) if is_all else None,
    }
    return JsonResponse(found)


def start_wait(workflow_id: UUID, user_id: UUID) -> dict[str, Any] | None:
    """Why a pending workflow of the user waits for its start; None if nothing controls that."""
    gathers = flow.gathering_of(workflow_id)
    place = flow.start_place(workflow_id, user_id)
    if place is None and gathers is None:
        return None
    return (place or _NO_PLACE) | {"gathers": gathers}


def whole_start_wait(workflow_id: UUID, user_id: UUID) -> dict[str, Any] | None:
    """Like `start_wait`, and whether the workflow would wait for ever: that costs more."""
    found = start_wait(workflow_id, user_id)
    if found is not None and found["blocked_by"] is not None:
        found["held_crosswise"] = flow.held_crosswise(workflow_id, user_id)
    return found


_NO_PLACE = {
    "position": None,
    "is_exact": False,
    "share_key": None,
    "estimate_seconds": None,
    "blocked_by": None,
    "throttled_until": None,
}
