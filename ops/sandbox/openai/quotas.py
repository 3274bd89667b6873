"""The quotas of the imitated OpenAI: requests and tokens of each model in each minute.

A quota is a bucket that fills all the time, so that its headers are true: what is left, and in how
long it will be full. Tokens are charged when a request comes: those of the input and the most that
may be written. https://platform.openai.com/docs/guides/rate-limits
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass

from ops.sandbox.openai.wire import error
from ops.sandbox.settings import Settings
from ops.sandbox.wire import Refusal

_MINUTE = 60.0
_MOST_BUCKETS = 1000
"""More are kept only of quotas that are not full."""
_KINDS = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)"}


@dataclass
class _Bucket:
    """What is left of a quota of so much a minute, at a time of the monotonic clock."""

    allowed: float
    left: float
    at: float

    def refilled(self, now: float) -> float:
        """Fill up what the time has brought, and return what is left."""
        grown = self.left + max(0.0, now - self.at) * self.allowed / _MINUTE
        self.left, self.at = min(self.allowed, grown), now
        return self.left

    def is_used(self, now: float) -> bool:
        """Return whether the quota is not full."""
        return self.refilled(now) < self.allowed


class Quotas:
    """What is left to each model; a new model has all of it, as after a change of a quota."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def take(self, model: str, tokens: int) -> dict[str, str]:
        """Charge one request with so many tokens and return the headers that tell what is left.

        Raise OpenAI's 429 and charge nothing if either quota has too little left.
        """
        wanted = {"requests": 1.0, "tokens": float(tokens)}
        allowed = {kind: self._settings.number(f"openai.{kind}_per_minute") for kind in wanted}
        with self._lock:
            now = time.monotonic()
            if len(self._buckets) > _MOST_BUCKETS:
                used = {at: each for at, each in self._buckets.items() if each.is_used(now)}
                self._buckets = used  # A quota that is full again is as a new one.
            left = {kind: self._bucket(model, kind, allowed[kind], now) for kind in wanted}
            short = [kind for kind in wanted if left[kind] < wanted[kind]]
            if not short:
                for kind, amount in wanted.items():
                    self._buckets[model, kind].left -= amount
                    left[kind] -= amount
        headers = _headers(allowed, left)
        if short:
            kind = short[0]
            refused = _refused(model, kind, allowed[kind], left[kind], wanted[kind])
            refused.headers |= headers
            raise refused
        return headers

    def _bucket(self, model: str, kind: str, allowed: float, now: float) -> float:
        bucket = self._buckets.get((model, kind))
        if bucket is None or bucket.allowed != allowed:
            bucket = self._buckets[model, kind] = _Bucket(allowed, allowed, now)
        return bucket.refilled(now)


def rate_limited(
    seconds: float, kind: str = "requests", words: str = "", model: str = "requests"
) -> Refusal:
    """Return OpenAI's 429 for a quota that has enough again in so many seconds."""
    about = words or f"on {_KINDS[kind]}"
    message = (
        f"Rate limit reached for {model} in organization playalter-sandbox {about}. Please try "
        f"again in {duration(seconds)}. Visit https://platform.openai.com/account/rate-limits to "
        "learn more."
    )
    headers = {
        "Retry-After": str(max(0, math.ceil(seconds))),
        "retry-after-ms": str(max(0, math.ceil(seconds * 1000))),
    }
    return error(429, message, None, "rate_limit_exceeded", kind, headers)


def duration(seconds: float) -> str:
    """Return seconds as OpenAI writes them: `6ms`, `2m52.8s`, `1h30m0s`."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{head}{round(rest, 3):g}s"


def _headers(allowed: dict[str, float], left: dict[str, float]) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, limit in allowed.items():
        until_full = (limit - left[kind]) * _MINUTE / limit if limit else 0.0
        found[f"x-ratelimit-limit-{kind}"] = f"{limit:.0f}"
        found[f"x-ratelimit-remaining-{kind}"] = f"{int(left[kind])}"
        found[f"x-ratelimit-reset-{kind}"] = duration(until_full)
    return found


def _refused(model: str, kind: str, allowed: float, left: float, wanted: float) -> Refusal:
    if wanted > allowed:
        message = (
            f"Request too large for {model} in organization playalter-sandbox on {_KINDS[kind]}: "
            f"Limit {allowed:.0f}, Requested {wanted:.0f}. The input or output tokens must be "
            "reduced in order to run successfully. Visit "
            "https://platform.openai.com/account/rate-limits to learn more."
        )
        return error(429, message, None, "rate_limit_exceeded", kind)
    used = f"Limit {allowed:.0f}, Used {allowed - left:.0f}, Requested {wanted:.0f}"
    seconds = (wanted - left) * _MINUTE / allowed
    return rate_limited(seconds, kind, f"on {_KINDS[kind]}: {used}", model)
