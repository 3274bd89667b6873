"""OpenAI's limits of a model: requests and tokens in each minute. Its headers tell what they are.

https://platform.openai.com/docs/guides/rate-limits
"""

import math
from functools import partial

from app.outbound import http
from app.outbound.http import Demand, HttpReply, Limit, Told
from tasks.openai.settings import OpenAISettings

# https://platform.openai.com/docs/guides/error-codes
EXHAUSTED = frozenset(
    (
        "billing_hard_limit_reached",
        "credit_balance_exhausted",
        "insufficient_quota",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "project_spend_limit_exceeded",
    )
)
"""The codes of a 429 that no wait ends: somebody must pay."""
NO_ROOM = "resource_unavailable"
"""The code of a 429 that says that the level of service has no room now. It is not paid.
https://developers.openai.com/api/docs/guides/flex-processing"""
_TOO_LARGE = "Request too large"
"""So begins the message of a 429 for a request that needs more than is allowed in a minute. Its
code is that of any limit that is reached. No wait helps."""
_NO_ROOM_SECONDS = 15.0
_MINUTE = 60.0
_BURST = 10
_CHARACTERS_OF_A_TOKEN = 3
_LOW = 0.1
"""Only a number of remaining requests that is lower than this part of the limit is heeded."""


def demand(model: str, text: str = "", max_tokens: int = 0) -> Demand:
    """What a call of a model takes. OpenAI counts the most tokens that it may write at once, and
    gives nothing back if the model writes less."""
    settings = OpenAISettings.current()
    limit = Limit(
        f"model {model}",
        requests=settings.limit_requests,
        tokens=settings.limit_tokens if max_tokens else 0.0,
        seconds=_MINUTE,
        burst=_BURST,
        in_flight=settings.limit_in_flight,
    )
    tokens = len(text) // _CHARACTERS_OF_A_TOKEN + max_tokens if max_tokens else 0
    return Demand((limit,), tokens, partial(told, counted=tokens))


def told(reply: HttpReply, counted: int = 0) -> Told:
    """What an answer tells of a call for which so many tokens were counted.

    The reset times of its headers say when all is full again. They are no waits, and what is left
    grows at the rate of the limit, so they are not read.
    """
    answer = reply.json() if reply.status in (200, 429) else None
    body = answer if isinstance(answer, dict) else {}
    error = body.get("error")
    if isinstance(error, dict) and any(is_exhausted(error.get(name)) for name in ("code", "type")):
        return Told()
    if isinstance(error, dict) and NO_ROOM in (error.get("code"), error.get("type")):
        # The account has kept to its limits, so that its rate is not lowered. Its other steps wait
        # for a while, instead of asking in vain.
        return Told(True, http.told(reply).after or _NO_ROOM_SECONDS, tokens=0)
    is_large = isinstance(error, dict) and is_too_large(error.get("message"))
    limit = _number(reply, "x-ratelimit-limit-requests")
    left = _number(reply, "x-ratelimit-remaining-requests")
    is_low = limit > 0 and 0 <= left < _LOW * limit
    usage = body.get("usage")
    used = usage.get("total_tokens") if isinstance(usage, dict) else None
    # Anything else leaves the tokens that were counted before: of some texts that is too few.
    is_more = isinstance(used, int) and not isinstance(used, bool) and used > counted
    # Some answers say that -1 or 0 tokens are allowed: they know of no limit.
    token_limit = _number(reply, "x-ratelimit-limit-tokens")
    tokens_left = _number(reply, "x-ratelimit-remaining-tokens")
    has_left = token_limit > 0 and 0 <= tokens_left <= token_limit
    refused = Told() if is_large else http.told(reply)
    return Told(
        refused.is_refused,
        refused.after,
        limit=limit / _MINUTE if limit > 0 else None,
        remaining=int(left) if is_low else None,
        reset=1.0 if is_low else None,
        # A request that is too large says nothing about the rate, and has used no tokens.
        tokens=0 if is_large else used if is_more else None,
        token_limit=token_limit / _MINUTE if token_limit > 0 else None,
        tokens_left=int(tokens_left) if has_left else None,
    )


def is_exhausted(code: object) -> bool:
    """Whether the code of an error, or its type, says that somebody must pay."""
    return isinstance(code, str) and code in EXHAUSTED


def is_too_large(message: object) -> bool:
    """Whether the message of a 429 says that the request alone is over the limit of a minute."""
    return isinstance(message, str) and message.startswith(_TOO_LARGE)


def _number(reply: HttpReply, header: str) -> float:
    try:
        found = float(reply.headers.get(header, ""))
    except ValueError:
        return -1.0
    return found if math.isfinite(found) else -1.0
