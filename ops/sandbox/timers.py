"""Timers of the imitated vendors (predictions, builds, expiries), stored as `queue` and `due`.

Invariant: no thread waits for an object. When an object is due, a pool thread runs its handler,
which sets the next timer or removes it. If the sandbox is killed in between, the object is due
again at the next start.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from ops.sandbox.crew import Crew
from ops.sandbox.store import Store

Work = Callable[[str], None]
_log = logging.getLogger("ops.sandbox")
RETRY_SECONDS = 1.0
HEAVY_WORKERS, LIGHT_WORKERS = 2, 2
# The objects that one poll takes. The limits keep many heavy objects from delaying the light ones.
HEAVY_BATCH, LIGHT_BATCH = 4, 200


class Timers:
    """Calls a queue's handler with the id of each object that is due."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._work: dict[str, tuple[str, Work, bool]] = {}
        self._held: set[str] = set()
        self._virtual: list[str] = []
        self._crews = {True: Crew("heavy", HEAVY_WORKERS), False: Crew("light", LIGHT_WORKERS)}
        self._busy: set[tuple[str, str]] = set()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="timers", daemon=True)
        store.on_commit(self._wake.set)

    def register(
        self,
        queue: str,
        kind: str,
        work: Work,
        is_heavy: bool = False,
        is_virtual: bool = False,
    ) -> None:
        """Set the handler for objects of `kind` that are due in `queue`.

        A virtual queue follows the sandbox's time: what it has is due earlier if that moves on.
        """
        self._work[queue] = (kind, work, is_heavy)
        if is_virtual:
            self._virtual.append(queue)

    def virtual(self) -> list[str]:
        """Return the queues that follow the sandbox's time."""
        return list(self._virtual)

    def pass_time(self, seconds: float) -> None:
        """Let so much of the sandbox's time pass: what follows it is due so much earlier."""
        marks = ",".join("?" * len(self._virtual))
        self._store.execute(
            f"UPDATE objects SET due = due - ? WHERE queue IN ({marks})", (seconds, *self._virtual)
        )

    def next_virtual(self) -> float | None:
        """Return when the next object of the virtual queues is due, in Unix seconds of the real
        time, or None."""
        marks = ",".join("?" * len(self._virtual))
        rows = self._store.read(
            f"SELECT min(due) AS due FROM objects WHERE queue IN ({marks})", self._virtual
        )
        return None if rows[0]["due"] is None else float(rows[0]["due"])

    def hold(self, queue: str, is_held: bool) -> None:
        """Suspend a queue, or resume it."""
        (self._held.add if is_held else self._held.discard)(queue)
        self._wake.set()

    def held(self) -> list[str]:
        """Return the queues that are suspended."""
        return sorted(self._held)

    def start(self) -> None:
        """Start calling handlers."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Call no further handler; return whether all running handlers ended within `seconds`."""
        self._stop.set()
        self._wake.set()
        self._thread.join(seconds)
        ended = [crew.stop(seconds) for crew in self._crews.values()]
        return all(ended) and not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            now = time.time()
            for is_heavy, batch in ((False, LIGHT_BATCH), (True, HEAVY_BATCH)):
                for queue, object_id in self._due(self._queues(is_heavy), now, batch):
                    self._hand_over(queue, object_id)
            self._wake.wait(self._seconds_to_next(now))

    def _queues(self, is_heavy: bool) -> list[str]:
        work = self._work.items()
        return [name for name, each in work if each[2] is is_heavy and name not in self._held]

    def _due(self, queues: list[str], now: float, batch: int) -> list[tuple[str, str]]:
        marks = ",".join("?" * len(queues))
        where = f"queue IN ({marks}) AND due <= ? ORDER BY due LIMIT ?"
        rows = self._store.read(
            f"SELECT queue, id FROM objects WHERE {where}",
            (*queues, now, batch),
        )
        return [(row["queue"], row["id"]) for row in rows]

    def _hand_over(self, queue: str, object_id: str) -> None:
        if (queue, object_id) in self._busy:
            return
        self._busy.add((queue, object_id))
        self._crews[self._work[queue][2]].submit(partial(self._do, queue, object_id))

    def _seconds_to_next(self, now: float) -> float:
        queues = [*self._queues(is_heavy=False), *self._queues(is_heavy=True)]
        marks = ",".join("?" * len(queues))
        rows = self._store.read(
            f"SELECT min(due) AS due FROM objects WHERE queue IN ({marks}) AND due > ?",
            (*queues, now),
        )
        due = rows[0]["due"]
        return 0.5 if due is None else min(0.5, max(0.002, due - time.time()))

    def _do(self, queue: str, object_id: str) -> None:
        kind, work, _ = self._work[queue]
        try:
            work(object_id)
        except Exception:  # noqa: BLE001 (reason below)
            # One failing object must not stop the others; it is retried later.
            _log.exception("timer %s of %s failed", queue, object_id)
            self._store.execute(
                "UPDATE objects SET due = ? WHERE kind = ? AND id = ? AND queue = ?",
                (time.time() + RETRY_SECONDS, kind, object_id, queue),
            )
        finally:
            self._busy.discard((queue, object_id))
            self._wake.set()
