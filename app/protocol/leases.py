"""Renews the leases of the steps that this process runs. A lease says until when it may run a step.

One thread with a connection of its own renews all leases, but never past the deadline of an
attempt. Each process starts the thread at first use; a forked child starts its own.

If a step still runs after its deadline, its call hangs, and only the end of the process can stop
it. Then its lease expires. The process first waits for threads that work on other steps, unless
many steps hang.
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
from app.protocol.claims import Claim

log = structlog.get_logger()

EXIT_DEADLINE = 70
_GRACE_SECONDS = 2.0
_MANY_HANG = 8


@dataclass
class Held:
    """A lease that this process renews. All times are of time.monotonic()."""

    claim: Claim
    deadline: float
    renew_at: float
    lease_end: float
    thread: int = field(default_factory=threading.get_ident)


@dataclass
class _Keeper:
    pid: int = 0
    tick_seconds: float = 1.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    held: dict[int, Held] = field(default_factory=dict)
    threads: set[int] = field(default_factory=set)
    """The ids of the threads that work on a message."""


_keeper = _Keeper()
_starting = threading.Lock()


@contextmanager
def at_work() -> Iterator[None]:
    """Mark this thread as working on a message during the block.

    Meanwhile a step that hangs in another thread does not end the process, unless many hang.
    """
    _ensure_thread()
    own = threading.get_ident()
    with _keeper.lock:
        _keeper.threads.add(own)
    try:
        yield
    finally:
        with _keeper.lock:
            _keeper.threads.discard(own)


@contextmanager
def kept(claim: Claim, attempt_seconds: float, since: float) -> Iterator[Held]:
    """Renew the claim's lease during the block, and yield its state.

    `since` is the time.monotonic() at which the claim was requested.
    """
    lease_end = since + settings.current().lease_seconds
    entry = Held(claim, since + attempt_seconds, since + _interval(), lease_end)
    _ensure_thread()
    with _keeper.lock:
        _keeper.held[id(entry)] = entry
    try:
        yield entry
    finally:
        with _keeper.lock:
            _keeper.held.pop(id(entry), None)


def _interval() -> float:
    return settings.current().lease_seconds / 3.0


def _ensure_thread() -> None:
    global _keeper
    if _keeper.pid == os.getpid():
        return
    with _starting:
        if _keeper.pid != os.getpid():
            keeper = _Keeper(os.getpid(), min(1.0, _interval() / 4.0))
            thread = threading.Thread(
                target=_renew_forever, args=(keeper,), daemon=True, name="leases"
            )
            thread.start()
            _keeper = keeper


def _renew_forever(keeper: _Keeper) -> None:
    db.dedicate()
    # The loop ends with the process. A tick is short compared with a lease, so it may be late.
    while True:
        try:
            time.sleep(keeper.tick_seconds)
            _renew_due(keeper)
        except Exception as err:  # without this thread, every long step would be run twice
            log.error("lease.keeper_failed", exc_info=err)
            time.sleep(1.0)


def _renew_due(keeper: _Keeper) -> None:
    now = time.monotonic()
    with keeper.lock:
        held = list(keeper.held.values())
        threads = set(keeper.threads)
    hanging = {entry.thread for entry in held if now > entry.deadline + _GRACE_SECONDS}
    if hanging and (not threads - hanging or len(hanging) >= _MANY_HANG):
        _end_process([entry.claim for entry in held if entry.thread in hanging])
    due = [entry for entry in held if entry.renew_at <= now < entry.deadline]
    if due:
        _renew(due)


def _renew(entries: list[Held]) -> None:
    lease_seconds = settings.current().lease_seconds
    began = time.monotonic()
    claims = [entry.claim for entry in entries]
    try:
        rows = db.prepared(
            "renew_leases_v1",
            "uuid[], text[], uuid[], float8",
            (
                [claim.workflow_id for claim in claims],
                [claim.key for claim in claims],
                [claim.fence for claim in claims],
                lease_seconds,
            ),
        )
    except psycopg2.Error as err:
        # Tried again at the next tick. To wait for another third of a lease might be too late.
        log.warning("lease.not_renewed", steps=len(claims), error=str(err).strip()[:200])
        return
    renewed = {row["fence"] for row in rows}
    for entry in entries:
        if entry.claim.fence in renewed:
            # A lease that was not renewed had expired, and another worker may hold the step now.
            # Or its row is locked, because its outcome is being recorded.
            entry.lease_end, entry.renew_at = began + lease_seconds, began + _interval()


def _end_process(claims: list[Claim]) -> None:
    for claim in claims:
        log.error("lease.deadline_passed", workflow=str(claim.workflow_id), step=claim.key)
    os._exit(EXIT_DEADLINE)
