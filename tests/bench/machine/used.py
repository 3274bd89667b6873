"""What a timed span used of the machine: the CPU of the groups that are measured, and of others."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.bench.machine import cpu


@dataclass(frozen=True)
class Reading:
    """CPU seconds used up to a moment, or between two."""

    at: float
    groups: Mapping[str, float]
    """Of those that are measured, by their names."""
    producer: float
    """Of this process, which submits and waits."""
    helpers: float
    """Of processes that belong to the measurement without being measured."""
    machine: float
    """Of all, with what the host kept from this machine."""

    def since(self, before: "Reading") -> "Reading":
        """What was used between two readings."""
        return Reading(
            self.at - before.at,
            {name: used - before.groups[name] for name, used in self.groups.items()},
            self.producer - before.producer,
            self.helpers - before.helpers,
            self.machine - before.machine,
        )

    @property
    def others_cores(self) -> float:
        """The cores that everybody else had meanwhile."""
        known = sum(self.groups.values()) + self.producer + self.helpers
        return max(0.0, (self.machine - known) / self.at)


def read(groups: Mapping[str, tuple[int, ...]], helper_pids: tuple[int, ...]) -> Reading:
    """What is used by now."""
    return Reading(
        time.monotonic(),
        {name: cpu.seconds(*pids) for name, pids in groups.items()},
        time.process_time(),
        cpu.seconds(*helper_pids),
        cpu.machine_seconds(),
    )
