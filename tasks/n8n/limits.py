"""The limits of an n8n instance. Its answers tell none, so that the operator sets them.

https://docs.n8n.io/hosting/scaling/concurrency-control/
"""

from app.outbound.http import Demand, HttpReply, Limit, Told
from tasks.n8n.settings import N8nSettings

_BURST = 10


def demand(operation: str) -> Demand | None:
    """What a call takes: a probe nothing, for it says how n8n is."""
    if operation == "probe":
        return None
    own = N8nSettings.current()
    limit = Limit(
        "instance", requests=own.limit_requests, in_flight=own.limit_in_flight, burst=_BURST
    )
    return Demand((limit,), told=_nothing)


def _nothing(_: HttpReply) -> Told:
    """An author's workflow may pass on a refusal of another system: the instance is not full."""
    return Told()
