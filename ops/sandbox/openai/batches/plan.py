"""When a batch does what, in the sandbox's time, which is decided when it is created.

After the validation its lines are done one after the other, evenly over the hours of the setting
`openai.batch_hours`; what is not done after 24 hours expires.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.sandbox.settings import Settings
from ops.sandbox.store import Json

WINDOW_SECONDS = 86_400.0
_TICKS = 20
"""In how many steps the progress of a batch is seen, if nobody moves the time."""


@dataclass(frozen=True)
class Plan:
    """Times in Unix seconds, lengths in seconds."""

    created: float
    validating: float
    working: float
    finalizing: float
    cancelling: float

    @classmethod
    def of(cls, batch: Json) -> Plan:
        """Return the plan that a batch has kept."""
        return cls(**batch["sandbox"]["plan"])

    @property
    def started(self) -> float:
        """When the validation ends."""
        return self.created + self.validating

    @property
    def expires(self) -> float:
        """When the batch expires."""
        return self.created + WINDOW_SECONDS

    def done_by(self, at: float, total: int) -> int:
        """Return how many of the lines are done at a time."""
        if at < self.started:
            return 0
        share = (at - self.started) / self.working if self.working else 1.0
        return min(total, int(share * total + 1e-9))

    def done_at(self, count: int, total: int) -> float:
        """Return when so many of the lines are done."""
        return self.started + self.working * count / total

    def next_at(self, count: int, total: int) -> float:
        """Return when the progress is looked at again, after so many lines."""
        step = max(1, total // _TICKS)
        return min(self.expires, self.done_at(min(total, count + step), total))


def planned(settings: Settings, now: float) -> Json:
    """Return the plan of a batch that is created now, to be kept with it."""
    return {
        "created": now,
        "validating": settings.number("openai.batch_validating_seconds"),
        "working": settings.number("openai.batch_hours") * 3600,
        "finalizing": settings.number("openai.batch_finalizing_seconds"),
        "cancelling": settings.number("openai.batch_cancelling_seconds"),
    }
