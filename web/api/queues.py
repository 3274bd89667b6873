"""The queues of the broker, and what is lined up for them."""

from typing import Any

from flask import Response, current_app
from redis.exceptions import RedisError

from app import queries, telemetry
from app.settings import Settings
from chains.dispatch import queue_lengths
from tasks.queues import queues
from web.api import blueprint, problems
from web.auth import caller, is_operator
from web.remembered import listed
from web.schemas.queues import QueueList

api = blueprint("queues", "Queues")

log = telemetry.logger("web.queues")


@api.get(
    "/queues",
    summary="What waits for workers, and for how long",
    responses={200: QueueList, **problems()},
)
def list_queues() -> Response:
    """For each queue: what is published, what is lined up behind that, and when its turn comes.

    An admin key counts what all users have lined up, any other key what its user has.
    """

    def shown() -> dict[str, Any]:
        names = queues()
        states = queries.queue_states(names, caller(), is_operator=is_operator())
        published = _published(names)
        items = [state | {"published": published.get(state["queue"])} for state in states]
        return {"items": items, "is_broker_reached": bool(published)}

    return listed(shown)


def _published(names: list[str]) -> dict[str, int]:
    """The number of messages in each queue; empty if the broker does not answer."""
    settings: Settings = current_app.extensions["settings"]
    try:
        return queue_lengths(settings.redis_url, names)
    except RedisError as err:
        log.warning("queue lengths cannot be read", error=str(err))
        return {}
