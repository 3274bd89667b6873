"""Queues that hold messages and that no worker takes: said once, and once more when one does."""

from collections.abc import Mapping

import structlog

from app.broker import presence

log = structlog.get_logger()


class Unserved:
    """What was said before, for as long as the process lives."""

    def __init__(self) -> None:
        self._told: frozenset[str] = frozenset()

    def look(self, lengths: Mapping[str, int]) -> None:
        """Compare queues, by their number of messages, with what workers say that they take."""
        taken = presence.taken()
        if taken is None:
            return
        found = frozenset(queue for queue, n in lengths.items() if n > 0 and queue not in taken)
        for queue in sorted(found - self._told):
            log.warning("queue.no_worker", queue=queue, messages=lengths[queue])
        for queue in sorted(self._told & taken):
            log.info("queue.has_worker", queue=queue)
        self._told = found | (self._told - taken)
