"""Leases of this process, renewed by one thread of its own connection, never past the deadline.

The thread starts at first use and by process id, never before a fork. A step that outlives its
deadline ends the process: nothing else can stop a call that hangs, and the lease then expires.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg2
import structlog

from app import db, settings
from app.claims import Claim

log = structlog.get_logger()

EXIT_DEADLINE = 70
_GRACE_SECONDS = 2.0


@dataclass
class _Held:
    claim: Claim
    deadline: float  # monotonic
    renew_at: float  # monotonic


@dataclass
class _Keeper:
    pid: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    held: dict[int, _Held] = field(default_factory=dict)


_keeper = _Keeper()


@contextmanager
def kept(claim: Claim, attempt_seconds: float) -> Iterator[float]:
    """Keep the claim's lease alive for the block; yields its deadline on the monotonic clock."""
    now = time.monotonic()
    deadline = now + attempt_seconds
    entry = _Held(claim, deadline, now + _interval())
    _ensure_thread()
    with _keeper.lock:
        _keeper.held[id(entry)] = entry
    try:
        yield deadline
    finally:
        with _keeper.lock:
            _keeper.held.pop(id(entry), None)


def _interval() -> float:
    return settings.current().lease_seconds / 3.0


def _ensure_thread() -> None:
    global _keeper
    if _keeper.pid != os.getpid():
        _keeper = _Keeper(pid=os.getpid())
        threading.Thread(target=_renew_forever, args=(_keeper,), daemon=True, name="leases").start()


def _renew_forever(keeper: _Keeper) -> None:
    # Ends with the process; one tick is short against a lease, so a late one costs nothing.
    while True:
        time.sleep(min(1.0, _interval() / 4.0))
        now = time.monotonic()
        with keeper.lock:
            held = list(keeper.held.values())
        for entry in held:
            if now > entry.deadline + _GRACE_SECONDS:
                _end_process(entry.claim)
            if now >= entry.renew_at and now < entry.deadline:
                entry.renew_at = now + _interval()
                _renew(entry.claim)


def _renew(claim: Claim) -> None:
    try:
        db.row(
            "SELECT renew_lease_v1(%s, %s, %s, %s)",
            (claim.workflow_id, claim.key, claim.fence, settings.current().lease_seconds),
        )
    except psycopg2.Error as err:
        log.warning("lease.not_renewed", step=claim.key, error=str(err).strip()[:200])


def _end_process(claim: Claim) -> None:
    log.error("lease.deadline_passed", workflow=str(claim.workflow_id), step=claim.key)
    os._exit(EXIT_DEADLINE)
