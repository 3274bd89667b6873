"""Virtual time. It stands still while steps are due; then it jumps to the next alarm."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(order=True)
class _Alarm:
    at: datetime
    number: int
    ring: Callable[[], None] = field(compare=False)
    is_wanted: Callable[[], bool] = field(compare=False)


@dataclass
class Clock:
    """The virtual time and the alarms that are set. An alarm is a function to call at a time."""

    now: datetime
    _alarms: list[_Alarm] = field(default_factory=list)
    _count: int = 0

    def at(
        self, when: datetime, ring: Callable[[], None], is_wanted: Callable[[], bool] | None = None
    ) -> None:
        """Call `ring` at the time `when`, unless `is_wanted()` is false at that time."""
        self._count += 1
        alarm = _Alarm(max(when, self.now), self._count, ring, is_wanted or _always)
        heapq.heappush(self._alarms, alarm)

    def next_at(self) -> datetime | None:
        """The time of the next alarm that is still wanted; None if there is none."""
        while self._alarms and not self._alarms[0].is_wanted():
            heapq.heappop(self._alarms)
        return self._alarms[0].at if self._alarms else None

    def jump(self) -> None:
        """Set the clock to the time of the next alarm, and run all alarms of that time."""
        at = self.next_at()
        while at is not None and self.next_at() == at:
            self.now = at
            heapq.heappop(self._alarms).ring()


def _always() -> bool:
    return True
