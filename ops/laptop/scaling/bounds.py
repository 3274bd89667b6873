"""The least and the most workers of a kind: as the operator says, and as the cores allow."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from ops.laptop.faults import DataUnusable
from ops.laptop.scaling.little import Bounds

MOST_WORKERS = 100
PER_CORE = 2
"""Workers whose steps wait need a core only now and then."""


@dataclass(frozen=True)
class Workers:
    """How many workers of each kind there may be."""

    least: int = 1
    most: int = 4

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Workers":
        """The default numbers, or those in PLAYALTER_WORKERS_LEAST and PLAYALTER_WORKERS_MOST.

        Raises DataUnusable for values that are no bounds.
        """
        given = {each.name: environ.get(workers_setting(each.name)) for each in fields(cls)}
        workers = cls(**{name: _number(name, value) for name, value in given.items() if value})
        if workers.least > workers.most:
            lower, upper = workers_setting("least"), workers_setting("most")
            raise DataUnusable(f"{lower} ({workers.least}) is above {upper} ({workers.most})")
        return workers

    def bounds(self, processes: int, cores: int | None = None) -> Bounds:
        """The bounds of a kind whose workers compute in so many processes each; 0 if they wait.

        More processes that compute than there are cores gain nothing.
        """
        number = cores or len(os.sched_getaffinity(0))
        most = max(number // processes, 1) if processes else number * PER_CORE
        return Bounds(min(self.least, most), min(self.most, most))


def workers_setting(bound: str) -> str:
    """The environment variable of a bound."""
    return f"PLAYALTER_WORKERS_{bound.upper()}"


def _number(bound: str, value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= MOST_WORKERS:
        allowed = f"a number from 1 to {MOST_WORKERS}"
        raise DataUnusable(f"{workers_setting(bound)} must be {allowed}, not {value!r}")
    return int(value)
