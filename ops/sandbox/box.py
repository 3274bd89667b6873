"""The parts that all imitated vendors share: store, settings, faults, outbox, timers, credentials.

Ids are random and not derived from the seed, because old ids must not return after a reset.
"""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ops.sandbox import clock
from ops.sandbox.credentials import Credentials
from ops.sandbox.faults import Faults
from ops.sandbox.settings import Settings
from ops.sandbox.store import Store
from ops.sandbox.timers import Timers
from ops.sandbox.webhooks.outbox import Outbox

_BASE62 = string.ascii_letters + string.digits
_BASE36 = string.ascii_lowercase + string.digits


@dataclass(frozen=True)
class Box:
    """The shared parts of the sandbox; `urls` maps each vendor to its base URL.

    `key` is the key of the control API, which tells the vendors' credentials.
    """

    store: Store
    settings: Settings
    faults: Faults
    outbox: Outbox
    timers: Timers
    credentials: Credentials
    seed: int
    key: str
    urls: dict[str, str] = field(default_factory=dict)

    def ahead(self) -> float:
        """Return by how many seconds the sandbox's time is ahead of the real one."""
        return clock.ahead(self.store)

    def now(self) -> float:
        """Return the sandbox's time in Unix seconds."""
        return clock.now(self.store)


def token62(length: int) -> str:
    """Return a random id of letters and digits."""
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def token36(length: int) -> str:
    """Return a random id of lower-case letters and digits."""
    return "".join(secrets.choice(_BASE36) for _ in range(length))


def iso(at: float) -> str:
    """Return Unix seconds as an RFC 3339 time with microseconds and `Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
