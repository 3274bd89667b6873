"""How long the expressions of a step can have taken at most, by the work that was counted.

The clock of a thread's CPU time says too much where a machine stands still: while a hypervisor
takes a processor away or fetches a page of memory, the time of the thread on it goes on. By this
clock alone, a step of some microseconds may seem to have taken half a second, and hundreds of steps
of its user would wait for minutes.
"""

import threading

from app.db.parsed import characters_read
from chains.language.evaluation import Meter

STEP_SECONDS = 3e-3
"""What the preparation of a step without expressions takes, three times over."""
WORK_SECONDS = 10e-6
"""Ten times what a unit of work takes (see chains.language.evaluation)."""
CHARACTER_SECONDS = 0.2e-6
"""Ten times what reading or writing a character of JSON takes."""


class _Counted(threading.local):
    work = 0
    characters = 0


_counted = _Counted()


def count(meter: Meter) -> None:
    """Count what was evaluated with this meter, in this thread."""
    _counted.work += meter.worked
    _counted.characters += meter.built


def count_aside(characters: int, work: int) -> None:
    """Count a text that was written here and read by a child process, and the child's `work`."""
    _counted.work += work
    _counted.characters += 2 * characters


def most_seconds() -> float:
    """The seconds that all that this thread has read and evaluated until now can have taken."""
    characters = _counted.characters + characters_read()
    return _counted.work * WORK_SECONDS + characters * CHARACTER_SECONDS
