"""What each vendor counts as taken, and when it sends a webhook again that was not taken.

Where a vendor states a number and a length but no intervals, the intervals are chosen within them.
"""

from __future__ import annotations

from http import HTTPStatus
from itertools import accumulate

_MINUTE, _HOUR = 60.0, 3600.0


def _doubled(first: float, longest: float, within: float) -> tuple[float, ...]:
    """Return pauses that double, none longer than `longest`, which end within so many seconds."""
    pauses = [min(longest, first * 2**number) for number in range(64)]
    return tuple(
        pause for pause, end in zip(pauses, accumulate(pauses), strict=True) if end <= within
    )


STRIPE = {
    # Three times over a few hours; no intervals are stated. https://docs.stripe.com/webhooks#retries
    "sandbox": (10 * _MINUTE, _HOUR, 3 * _HOUR),
    # Up to three days with exponential back-off.
    "live": _doubled(5 * _MINUTE, 12 * _HOUR, 72 * _HOUR),
}
_OTHERS = {
    # At once, then with growing pauses, three times in all (Agora's Docs-Source,
    # notification-center-service). The pauses are not stated.
    "agora": (0.0, 10.0, 30.0),
    # The library that sends them (replicate/cog#748): twelve times over 320 s.
    "replicate": (0.0, *(0.2 * 2**number for number in range(10)), 120.0),
    # With exponential back-off for up to 72 hours; no pauses are stated.
    # https://developers.openai.com/api/docs/guides/webhooks
    "openai": _doubled(5.0, 12 * _HOUR, 72 * _HOUR),
    # With growing pauses for a day; neither number nor pauses are stated.
    "vercel": _doubled(_MINUTE, 24 * _HOUR, 24 * _HOUR),
    # A node with "Retry On Fail" that tries as long as n8n allows: 5 tries, 5 s apart (n8n-core,
    # workflow-execute.js). Its default of two seconds in all is over before a receiver is up again.
    "n8n": (5.0, 5.0, 5.0, 5.0),
}


def pauses(vendor: str, event: str, stripe: str) -> tuple[float, ...]:
    """Return the seconds between the tries of a webhook; after the last one it has failed.

    `stripe` is the schedule of Stripe: `sandbox` or `live`.
    """
    if vendor == "stripe":
        return STRIPE[stripe]
    if vendor == "replicate" and event != "completed":
        return ()  # The next webhook of the prediction tells more.
    return _OTHERS[vendor]


def is_taken(vendor: str, status: int) -> bool:
    """Whether the answer to a webhook ends its tries; Agora takes 200 only."""
    return status == HTTPStatus.OK if vendor == "agora" else 200 <= status < 300
