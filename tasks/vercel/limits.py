"""Vercel's limits: each endpoint has its own, which only its answers tell.

An answer says how many calls are allowed, how many of these are left, and when they begin anew, but
not in which time they are allowed. If the time to the beginning is longer than a minute, the calls
are not spaced: somebody who deploys a few times in a day does not wait.

https://vercel.com/docs/rest-api/errors#rate-limits
"""

from dataclasses import replace

from app.outbound.http import Demand, HttpReply, Limit, Told, in_flight
from app.outbound.stated_waits import LONGEST_SECONDS, answered_at, retry_after
from tasks.vercel.settings import VercelSettings

_LOW, _LOW_PART = 10, 0.1
"""Only a number of remaining calls that is lower, or lower than this part of the limit, is heeded.
"""
_MINUTE = 60.0
_BURST = 10


def demand(operation: str) -> Demand | None:
    """What a call of an operation takes: a probe nothing, for it says how the platform is."""
    if operation == "probe":
        return None
    most = VercelSettings.current().limit_in_flight
    return Demand(
        (Limit(operation, burst=_BURST), *in_flight(most)),
        told=lambda reply: replace(told(reply), names=(operation,)),
    )


def told(reply: HttpReply) -> Told:
    """What an answer tells: how many calls are left until a time."""
    reset = seconds_to_reset(reply)
    if reply.status == 429:
        after = retry_after(reply.headers)
        return Told(is_refused=True, after=reset if after is None else after)
    if reset is None or reset <= 0:
        return Told()
    allowed, left = _count(reply, "x-ratelimit-limit"), _count(reply, "x-ratelimit-remaining")
    is_low = 0 <= left < max(_LOW, _LOW_PART * allowed)
    return Told(
        limit=allowed / _MINUTE if allowed > 0 and reset <= _MINUTE else None,
        remaining=left if is_low else None,
        reset=reset if is_low else None,
    )


def _count(reply: HttpReply, header: str) -> int:
    try:
        return int(reply.headers.get(header, ""))
    except ValueError:
        return -1


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
