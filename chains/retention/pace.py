"""How fast archiving goes: slowly beside others, faster while PostgreSQL has little to do.

Archiving is never urgent, and on a machine without an idle processor each of its seconds is taken
from those who run workflows. So it works in short pieces, and rests in between. While it rests it
looks at the other connections: at each look, others are at work or not.
"""

import time
from collections.abc import Callable
from typing import Any

from app.archive.connecting import dicts
from app.broker.shutdown import is_shutting_down
from app.settings import current

QUIET_SHARE = 0.5
"""The part of the time in which it works if nobody else does."""
_NAP_SECONDS = 0.2
"""Between two looks; a worker that is asked to stop waits no longer than this."""
_WEIGHT = 0.05
"""Of the newest look in the mean of all looks: it is mostly of the last four seconds."""
_OTHERS = """
SELECT EXISTS (SELECT FROM pg_stat_activity
  WHERE datname = current_database() AND backend_type = 'client backend' AND state = 'active'
    AND application_name <> current_setting('application_name')) AS are_at_work
"""


class Pace:
    """Lets a run work for a part of the time, until its `seconds` are over.

    The part is `share`; without it, it is `archive_share` of the settings beside others that are
    always at work, and more the fewer they are.
    """

    def __init__(self, connection: Any, share: float | None, seconds: float) -> None:
        self._connection, self._share, self._seconds = connection, share, seconds
        self._began = time.monotonic()
        self.busy = 1.0
        """The part of the looks at which others were at work, the newest counting most."""

    @property
    def is_over(self) -> bool:
        """Whether the run should end."""
        return is_shutting_down() or time.monotonic() - self._began >= self._seconds

    def work(self, what: Callable[..., Any], *given: Any) -> Any:
        """Do a piece of work, and rest in proportion to the time that it took."""
        began = time.monotonic()
        done = what(*given)
        ended = time.monotonic()
        took = ended - began
        while not self.is_over:
            left = ended + took * (1 / self.share - 1) - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(left, _NAP_SECONDS))
            self.look()
        return done

    @property
    def share(self) -> float:
        """The part of the time in which it works now."""
        if self._share is not None:
            return self._share
        return share_beside(self.busy, current().archive_share)

    def look(self) -> None:
        """Look whether others are at work now."""
        if self._share is None:
            (found,) = dicts(self._connection, _OTHERS)
            self.busy += _WEIGHT * (found["are_at_work"] - self.busy)


def share_beside(busy: float, least: float) -> float:
    """The part of the time to work in, if others are at work in the part `busy` of it. Pure.

    >>> [round(share_beside(busy, 0.08), 2) for busy in (1, 0.9, 0.5, 0)]
    [0.08, 0.08, 0.18, 0.5]
    """
    # The square: PostgreSQL is rarely at work all the time, even if no processor is idle.
    return least + max(QUIET_SHARE - least, 0) * (1 - busy) ** 2
