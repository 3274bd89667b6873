"""Logs queues that contain messages but have no worker.

A queue is logged once, and once more when a worker takes it.
"""

from collections.abc import Mapping

import structlog

from app.broker import presence

log = structlog.get_logger()


class Unserved:
    """Remembers, in this process, the queues that were logged."""

    def __init__(self) -> None:
        self._logged: frozenset[str] = frozenset()

    def look(self, lengths: Mapping[str, int]) -> None:
        """Log the queues in `lengths` (messages by queue) that have messages but no worker."""
        taken = presence.taken()
        if taken is None:
            return
        found = frozenset(queue for queue, n in lengths.items() if n > 0 and queue not in taken)
        for queue in sorted(found - self._logged):
            log.warning("queue.no_worker", queue=queue, messages=lengths[queue])
        for queue in sorted(self._logged & taken):
            log.info("queue.has_worker", queue=queue)
        self._logged = found | (self._logged - taken)
