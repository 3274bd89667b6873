"""Replicate's limits in each minute: for new predictions, and for all other calls.

https://replicate.com/docs/topics/predictions/rate-limits
"""

import re
from dataclasses import replace

from app.outbound import http
from app.outbound.http import Demand, HttpReply, Limit, Told, in_flight
from tasks.replicate.settings import ReplicateSettings

_MINUTE = 60.0
_LOW, _LOW_PART = 10, 0.1
"""Only a number of remaining calls that is lower, or lower than this part of the limit, is heeded.
"""
_ALLOWED = re.compile(r"\s*(\d{1,9})\s*(?:$|[,;].*?\bw=(\d{1,6})\b|[,;])")
"""The requests that a header allows, and the seconds of their window if it says them."""


def demand(operation: str) -> Demand | None:
    """What a call of an operation takes: a probe nothing, for it says how the platform is."""
    if operation == "probe":
        return None
    settings = ReplicateSettings.current()
    if operation == "predictions.create":
        limit = Limit("create", requests=settings.limit_creations, seconds=_MINUTE, burst=5)
    else:
        limit = Limit("other", requests=settings.limit_requests, seconds=_MINUTE, burst=20)
    return Demand(
        (limit, *in_flight(settings.limit_in_flight)),
        told=lambda reply: replace(told(reply), names=(limit.name,)),
    )


def told(reply: HttpReply) -> Told:
    """What an answer tells: a 429 says its wait in its text, others how many calls are allowed and
    left.

    An account without credit is allowed far less than one with it, so that the header comes before
    the settings. https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-07.html
    """
    refused, limit = http.told(reply), _allowed(reply)
    try:
        left = int(reply.headers.get("ratelimit-remaining", ""))
        reset = float(reply.headers.get("ratelimit-reset", ""))
    except ValueError:
        return replace(refused, limit=limit)
    allowed = 0.0 if limit is None else limit * _MINUTE
    is_low = 0 <= left < max(_LOW, _LOW_PART * allowed) and 0 < reset <= _MINUTE
    if refused.is_refused or not is_low:
        return replace(refused, limit=limit)
    return Told(limit=limit, remaining=left, reset=reset)


def _allowed(reply: HttpReply) -> float | None:
    """The requests that are allowed in each second; None if the answer does not say it."""
    found = _ALLOWED.match(reply.headers.get("ratelimit-limit", ""))
    if found is None:
        return None
    allowed, window = int(found[1]), float(found[2] or _MINUTE)
    return allowed / window if allowed > 0 and window > 0 else None
