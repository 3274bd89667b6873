"""The retry decision as a value: how long to wait, or that it is over. Pure."""

from dataclasses import dataclass

DEFAULT_TRIES = 8


@dataclass(frozen=True)
class RetryPolicy:
    """`tries` attempts in all; waits grow by `factor` from `base_seconds` to `cap_seconds`, less up
    to the share `jitter`; `codes`: the errors that are tried again (None: all)."""

    tries: int | None = None
    base_seconds: float = 1.0
    factor: float = 2.0
    cap_seconds: float = 300.0
    jitter: float = 0.5
    codes: frozenset[str] | None = None

    def allows(self, code: str) -> bool:
        """Whether an error of this code is tried again at all."""
        return self.codes is None or code in self.codes

    def delay(self, failed: int, *, after: float | None, fraction: float) -> float | None:
        """Seconds to wait after `failed` attempts, or None when no attempt is left.

        `after` is what the vendor asks for (Retry-After), never undercut; `fraction` in [0, 1) says
        how much of the jitter is taken away.

        >>> RetryPolicy(tries=3).delay(1, after=None, fraction=0.0)
        1.0
        >>> RetryPolicy(tries=3).delay(2, after=30.0, fraction=0.5)
        30.0
        >>> RetryPolicy(tries=3).delay(3, after=None, fraction=0.0) is None
        True
        """
        if failed >= (self.tries or DEFAULT_TRIES):
            return None
        backoff = self.base_seconds * self.factor ** min(failed - 1, 60)
        return max(min(self.cap_seconds, backoff) * (1.0 - fraction * self.jitter), after or 0.0)


STORE_POLICY = RetryPolicy(tries=2, base_seconds=5.0)
"""While a store of ours is away or full: never over, and no try of the step; the pauses grow to a
minute where they are recorded."""

PATIENT_POLICY = RetryPolicy(tries=10_000, cap_seconds=60.0)
"""For what already runs at a vendor: its own time-out is the bound."""

UNDO_POLICY = RetryPolicy(tries=300, base_seconds=1.0, cap_seconds=900.0)
"""A compensation is tried for some three days before a person is asked."""
