"""The sandbox's time, which the control API moves ahead of the real one (`POST /stripe/advance`).

Timers that follow it are registered as virtual (`timers.py`): a move brings them nearer.
"""

from __future__ import annotations

import time

from ops.sandbox.store import Store

_KIND, _ID = "sandbox_stripe_clock", "ahead"


def ahead(store: Store) -> float:
    """Return by how many seconds the sandbox's time is ahead of the real one."""
    row = store.get(_KIND, _ID)
    return float(row.body["seconds"]) if row else 0.0


def now(store: Store) -> float:
    """Return the sandbox's time in Unix seconds."""
    return time.time() + ahead(store)


def set_ahead(store: Store, seconds: float) -> None:
    """Set by how many seconds the sandbox's time is ahead of the real one."""
    store.put(_KIND, _ID, {"seconds": seconds})
