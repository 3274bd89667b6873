"""The retry decision as a value: how long to wait, or that it is over. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RetryPolicy:
    """`tries` attempts in all; waits double from `base_seconds` to `cap_seconds`, with jitter."""

    tries: int = 8
    base_seconds: float = 1.0
    cap_seconds: float = 300.0

    def delay(self, failed: int, *, after: float | None, fraction: float) -> float | None:
        """Seconds to wait after `failed` attempts, or None when no attempt is left.

        `after` is what the vendor asks for (Retry-After), never undercut; `fraction` in [0, 1) is
        the jitter, which takes away up to half of the wait.

        >>> RetryPolicy(tries=3).delay(1, after=None, fraction=0.0)
        1.0
        >>> RetryPolicy(tries=3).delay(2, after=30.0, fraction=0.5)
        30.0
        >>> RetryPolicy(tries=3).delay(3, after=None, fraction=0.0) is None
        True
        """
        if failed >= self.tries:
            return None
        backoff = min(self.cap_seconds, self.base_seconds * 2.0 ** min(failed - 1, 30))
        return max(backoff * (1.0 - fraction / 2.0), after or 0.0)


PATIENT_POLICY = RetryPolicy(tries=10_000, cap_seconds=60.0)
"""For what already runs at a vendor: its own time-out is the bound."""

UNDO_POLICY = RetryPolicy(tries=300, base_seconds=1.0, cap_seconds=900.0)
"""A compensation is tried for some three days before a person is asked."""
