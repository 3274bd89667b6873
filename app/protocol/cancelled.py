"""Drops the messages of cancelled steps without a statement in the database for each of them.

A workflow that is stopped may leave thousands of messages behind, of steps that were released at
once. When a few of its claims were refused, one statement reads the keys of all its cancelled
steps, and this process drops their messages for a few seconds. Should such a step run again after
all, the reconciler publishes it again.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from app.protocol.claims import cancelled_keys

REFUSALS = 3
LIVES_SECONDS = 5.0
MOST_WORKFLOWS = 16
_READ_SECONDS = 1.0
"""The least time between two reads of one workflow's keys."""


@dataclass
class _Known:
    refusals: int = 0
    keys: frozenset[str] = field(default_factory=frozenset)
    read_at: float = 0.0


class Cancelled:
    """The cancelled steps that this process knows of; `read` returns those of a workflow."""

    def __init__(self, read: Callable[[UUID], list[str]] = cancelled_keys) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._known: OrderedDict[UUID, _Known] = OrderedDict()

    def without(self, workflow_id: UUID, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `keys` that are not known to be cancelled."""
        known = self._known.get(workflow_id)
        if known is None or not known.keys:
            return keys
        if time.monotonic() - known.read_at > LIVES_SECONDS:
            with self._lock:
                self._known.pop(workflow_id, None)
            return keys
        return tuple(key for key in keys if key not in known.keys)

    def refused(self, workflow_id: UUID) -> None:
        """Count a claim that was refused, and read the workflow's cancelled steps if there were
        several."""
        now = time.monotonic()
        with self._lock:
            known = self._known.setdefault(workflow_id, _Known())
            self._known.move_to_end(workflow_id)
            if len(self._known) > MOST_WORKFLOWS:
                self._known.popitem(last=False)
            known.refusals += 1
            if known.refusals < REFUSALS or now - known.read_at < _READ_SECONDS:
                return
            known.refusals, known.read_at = 0, now
        known.keys = frozenset(self._read(workflow_id))
