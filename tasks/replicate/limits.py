"""Replicate's limits in each minute: for new predictions, and for all other calls.

https://replicate.com/docs/topics/predictions/rate-limits
"""

from app.outbound import http
from app.outbound.http import Demand, HttpReply, Limit, Told
from tasks.replicate.settings import ReplicateSettings

_MINUTE = 60.0
_LOW = 10
"""Only a lower number of remaining calls is heeded."""


def demand(operation: str) -> Demand | None:
    """What a call of an operation takes: a probe nothing, for it says how the platform is."""
    if operation == "probe":
        return None
    settings = ReplicateSettings.current()
    if operation == "predictions.create":
        limit = Limit("create", requests=settings.limit_creations, seconds=_MINUTE, burst=5)
    else:
        limit = Limit("other", requests=settings.limit_requests, seconds=_MINUTE, burst=20)
    return Demand((limit,), told=told)


def told(reply: HttpReply) -> Told:
    """What an answer tells: a 429 says its wait in its text, others how many calls are left."""
    refused = http.told(reply)
    try:
        left = int(reply.headers.get("ratelimit-remaining", ""))
        reset = float(reply.headers.get("ratelimit-reset", ""))
    except ValueError:
        return refused
    if refused.is_refused or not 0 <= left < _LOW or not 0 < reset <= _MINUTE:
        return refused
    return Told(remaining=left, reset=reset)
