"""How many worker processes a kind of work needs, by Little's law. It does no I/O.

The law: as many slots are in use as messages arrive per second, times the seconds that each needs.
A worker is a process with several slots (threads, or processes of its own). Of five policies in a
simulation (steady, daily, bursts, on and off, heavy tails) this one needed the fewest workers, and
let steps wait no longer than the others did. CPU says nothing here: a waiting step uses none.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """`goal_seconds`: within this time what waits shall have begun. `window_seconds`: as many
    workers as were needed at any time within it are kept."""

    goal_seconds: float = 30.0
    window_seconds: float = 60.0

    @property
    def least_goal_seconds(self) -> float:
        """The goal for what has waited longer than that already."""
        return self.goal_seconds / 3


@dataclass(frozen=True)
class Bounds:
    """The least and the most workers of one kind."""

    least: int = 1
    most: int = 4


@dataclass(frozen=True)
class Reading:
    """The work of one kind at one moment, in messages.

    `waiting` are in queues and lanes; `held` were fetched by a worker and have not ended, `active`
    of them run. `ended` and `busy_seconds` (seconds of a slot in use) only grow. `slots` are those
    of one worker.
    """

    at: float
    waiting: int = 0
    held: int = 0
    active: int = 0
    ended: int = 0
    busy_seconds: float = 0.0
    slots: int = 1

    @property
    def begun(self) -> int:
        """All messages that workers have fetched."""
        return self.ended + self.held

    @property
    def arrived(self) -> int:
        """All messages that were published or lined up."""
        return self.begun + self.waiting


class Little:
    """Decides how many workers of one kind there shall be, reading after reading."""

    def __init__(self, rule: Rule, bounds: Bounds) -> None:
        self._rule = rule
        self._bounds = bounds
        self._readings: deque[Reading] = deque()
        self._needed: deque[tuple[float, int]] = deque()

    def decide(self, reading: Reading, running: int, room: int) -> int:
        """How many workers there shall be now, where `running` are there.

        `room`: so many more may be started. More are started at once; one is ended when the window
        has passed in which it was needed.
        """
        since = reading.at - self._rule.window_seconds
        self._readings.append(reading)
        while self._readings[0].at < since:
            self._readings.popleft()
        self._needed.append((reading.at, needed(self._rule, list(self._readings))))
        while self._needed[0][0] < since:
            self._needed.popleft()
        wanted = max(number for _, number in self._needed)
        wanted = min(max(wanted, self._bounds.least), self._bounds.most)
        return min(wanted, running + max(room, 0)) if wanted > running else wanted


def needed(rule: Rule, readings: Sequence[Reading]) -> int:
    """The workers that are needed at the last of these readings, which are the window's, in order.

    What waits is not counted among what arrives as well: the same step would be counted twice.
    A message that needs longer than what waits may wait keeps its slot.
    """
    first, now = readings[0], readings[-1]
    seconds = service_seconds(readings)
    arrived = max(now.arrived - first.arrived - now.waiting, 0)
    steady = arrived / rule.window_seconds * seconds
    left = max(rule.goal_seconds - oldest_seconds(readings), rule.least_goal_seconds)
    steady = max(steady, now.active * min(seconds / left, 1.0))
    slots = steady + math.sqrt(steady) + now.waiting * seconds / left
    if now.waiting or now.held:
        slots = max(slots, 1.0)
    return math.ceil(slots / now.slots)


def service_seconds(readings: Sequence[Reading]) -> float:
    """The seconds for which a message uses a slot. One second if none has used any."""
    first, now = readings[0], readings[-1]
    used, ended = now.busy_seconds - first.busy_seconds, now.ended - first.ended
    if used <= 0:
        return 1.0
    # Messages that need longer than the window would count as none: those that run count too.
    return used / max(ended if ended >= now.active else ended + now.active, 1)


def oldest_seconds(readings: Sequence[Reading]) -> float:
    """For how long what waits first has waited, as far back as the readings go.

    Messages begin about in the order in which they arrive. So the first that waits now had arrived
    when more had arrived than have begun by now.
    """
    now = readings[-1]
    if not now.waiting:
        return 0.0
    return now.at - next(each.at for each in readings if each.arrived > now.begun)
