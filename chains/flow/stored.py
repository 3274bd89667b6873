"""The terms of a start as they are stored with the workflow, in the column `flow`."""

from uuid import UUID

from app.payload import dumps
from app.platform import Json
from chains.flow.keys import terms_of
from chains.flow.terms import Terms
from chains.language.definition import Definition
from chains.language.flow import Flow


def flow_of(
    definition: Definition,
    given: Json,
    user_id: UUID | None = None,
    own: Flow | None = None,
    schedule_id: UUID | None = None,
) -> str | None:
    """The terms under which a start with this input is admitted, as they are stored.

    `user_id` is the owner of the start, and `own` the flow control of the schedule that makes it.
    None if nothing controls the start. Raise InvalidInput if a key cannot be made from the input.
    """
    flow = flow_for(definition, own)
    if flow is None:
        return None
    throttled_by = None if own is None or own.throttle is None else schedule_id
    return stored(terms_of(flow, definition.name, given, user_id, throttled_by))


def flow_for(definition: Definition, own: Flow | None) -> Flow | None:
    """The flow control of a definition, with the fields that a schedule has of its own."""
    return own if definition.flow is None else definition.flow.with_(own)


def stored(terms: Terms | None) -> str | None:
    """The JSON text of the terms; None if nothing bounds the start.

    `interval` is the time in seconds between two starts of a throttle.
    """
    if terms is None or terms.is_free:
        return None
    return dumps(
        {
            "limits": [
                {"scope": each.scope, "name": each.name, "key": each.key, "most": each.most}
                for each in terms.limits
            ],
            "throttles": [
                {
                    "name": each.name,
                    "key": each.key,
                    "burst": each.burst,
                    "interval": each.period_seconds / each.limit,
                }
                for each in terms.throttles
            ],
            "share": terms.share_key,
            "weight": terms.weight,
            "cost": terms.cost,
            "priority": terms.priority,
            "depth": terms.depth,
            "unit": terms.cost_unit,
            "user": terms.user,
        }
    )
