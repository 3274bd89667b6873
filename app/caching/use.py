"""How this process uses its caches: the Valkey that it shares, and who counts their answers.

This module counts by a function that the process gives: `app.telemetry` would fix where metrics
are kept for whoever imports a platform.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from weakref import WeakSet

from app.caching.shared import Shared


class Clearable(Protocol):
    """What is emptied with all caches of the process."""

    def clear(self) -> None: ...


def _uncounted(_cache: str, _level: str, _outcome: str) -> None:
    """Count nothing."""


@dataclass
class Use:
    """`shared` is None if nothing is shared.

    `count(cache, level, outcome)` counts an answer. The level is `process` or `valkey`, and the
    outcome `hit`, `miss` (the value was made), `wait` (another had begun to make it), `late` (the
    wait was over before the value came, so it was made once more), `large` (the value is not kept)
    or `away`.
    """

    shared: Shared | None = None
    count: Callable[[str, str, str], None] = _uncounted
    caches: WeakSet[Clearable] = field(default_factory=WeakSet)

    def clear(self) -> Shared | None:
        """Empty all caches, share no more, and return what was shared."""
        for each in tuple(self.caches):
            each.clear()
        shared, self.shared, self.count = self.shared, None, _uncounted
        return shared

    def renew(self) -> None:
        """Let a forked child have connections and locks of its own."""
        if self.shared is not None:
            self.shared = self.shared.renewed()
        for each in tuple(self.caches):
            each.clear()


use = Use()
