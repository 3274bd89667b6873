"""Vercel's limits: each endpoint has its own, which only its answers tell.

https://vercel.com/docs/rest-api/errors#rate-limits
"""

from app.outbound.http import Demand, HttpReply, Limit, Told
from app.outbound.stated_waits import LONGEST_SECONDS, answered_at, retry_after

_LOW = 10
"""Only a lower number of remaining calls is heeded."""


def demand(operation: str) -> Demand | None:
    """What a call of an operation takes: a probe nothing, for it says how the platform is."""
    if operation == "probe":
        return None
    return Demand((Limit(operation),), told=told)


def told(reply: HttpReply) -> Told:
    """What an answer tells: how many calls are left until a time."""
    reset = seconds_to_reset(reply)
    if reply.status == 429:
        after = retry_after(reply.headers)
        return Told(is_refused=True, after=reset if after is None else after)
    try:
        left = int(reply.headers.get("x-ratelimit-remaining", ""))
    except ValueError:
        return Told()
    if reset is None or reset <= 0 or not 0 <= left < _LOW:
        return Told()
    return Told(remaining=left, reset=reset)


def seconds_to_reset(reply: HttpReply) -> float | None:
    """The seconds until the limit begins anew, by Vercel's own clock; None if it does not say.

    A time that is too far away is not meant, for example if it is in milliseconds.
    """
    try:
        at = float(reply.headers.get("x-ratelimit-reset", ""))
    except ValueError:
        return None
    seconds = at - answered_at(reply.headers).timestamp()
    return max(0.0, seconds) if seconds <= LONGEST_SECONDS else None
