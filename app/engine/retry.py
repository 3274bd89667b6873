"""The retry decision as a value: how long to wait, or that no attempt is left. Pure."""

from dataclasses import dataclass

DEFAULT_TRIES = 8


@dataclass(frozen=True)
class RetryPolicy:
    """When a failed attempt is retried.

    There are `tries` attempts in all. The waits between them grow by `factor` from `base_seconds`
    to `cap_seconds`, and each is shortened by a random part of up to `jitter`. `codes` are the
    errors that are retried (None: all).
    """

    tries: int | None = None
    base_seconds: float = 1.0
    factor: float = 2.0
    cap_seconds: float = 300.0
    jitter: float = 0.5
    codes: frozenset[str] | None = None

    def allows(self, code: str) -> bool:
        """Whether an error with this code is retried at all."""
        return self.codes is None or code in self.codes

    def delay(self, failed: int, *, after: float | None, fraction: float) -> float | None:
        """The seconds to wait after `failed` attempts, or None if no attempt is left.

        The wait is never shorter than `after`, the seconds that the vendor asks for (Retry-After).
        `fraction` in [0, 1) says how much of the jitter is used.

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
"""For an error of our own storage. Such attempts are not counted, so that the step is retried
without end. `retry_step_v1` lets the pauses grow to a minute."""

NOT_SERVED_POLICY = RetryPolicy(tries=2, base_seconds=2.0)
"""For a platform that serves no call now. As with STORE_POLICY, the attempts are not counted and
the pauses grow to a minute, or to what the platform asks for."""

TURN_POLICY = RetryPolicy(tries=2, base_seconds=0.0)
"""For a call that our own limiter refused. The attempts are not counted, and the pause is what the
limiter said: a step that came later would lose its turn to steps that have waited for less."""

PATIENT_POLICY = RetryPolicy(tries=10_000, cap_seconds=60.0)
"""For work that already runs at a vendor. Only the step's time-out ends the retries."""

UNDO_POLICY = RetryPolicy(tries=300, base_seconds=1.0, cap_seconds=900.0)
"""For compensations. After about three days of retries, the workflow is marked for attention."""
