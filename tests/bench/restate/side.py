"""Restate's side of a comparison: invocations of handlers, each step a durable `run`."""

import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.comparing.loads import Load
from tests.bench.comparing.sides import CLIENTS, Groups, Patience, Recorded
from tests.bench.machine.asking import Asking
from tests.bench.restate.installed import Installed
from tests.bench.restate.server import Started, restate

_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
_NOT_READY = 470
"""The status of the output of an invocation that has not ended."""
_OPEN_BEFORE_PAUSE = 4
_MOVING = (b"doesn't exist on this node", b"node lookup for partition")
"""What a query is told while the server takes over its partitions, as it does after its start."""
_MOVED_SECONDS = 30.0


class Restate:
    """Invocations of the handlers by HTTP, without an idempotency key: none would be faster."""

    name = "restate"
    clients = CLIENTS

    def __init__(self, started: Started) -> None:
        """`started` is a server that runs nothing else."""
        self.groups: Groups = {
            "workers": (started.handlers_pid,),
            "servers": (started.server_pid,),
        }
        self._ingress = Asking(started.ingress_port, _JSON)
        self._admin = Asking(started.admin_port, _JSON)

    def close(self) -> None:
        """Close the connections."""
        self._ingress.close()
        self._admin.close()

    def rest(self) -> None:
        """Nothing: what it has recorded stays for a day, as its settings say."""

    def submit(self, load: Load) -> str:
        """One request, answered when the invocation is in the log."""
        said = self._ingress.ask("POST", f"/bench/{load.canvas}/send", load.width)
        return str(json.loads(said)["invocationId"])

    def await_end(self, ids: list[str], patience: Patience, poll_seconds: float) -> None:
        """By their outputs, for which the server needs 0.1 ms each. They end in no order: whoever
        has not ended is asked again when all others were, and a few such make a pause."""
        waiting, still_open = deque(ids), 0
        while waiting:
            if not self._is_open(waiting[0]):
                waiting.popleft()
                continue
            waiting.rotate(-1)
            still_open += 1
            if still_open % _OPEN_BEFORE_PAUSE == 0:
                patience.pause(poll_seconds, f"one of {len(waiting)} invocations")

    def complete(self, load: Load, patience: Patience, poll_seconds: float) -> None:
        """A request that is answered when the invocation has ended."""
        self._ingress.ask("POST", f"/bench/{load.canvas}", load.width)

    def steps_of(self, load: Load) -> int:
        """Its runs."""
        return load.steps

    def recorded(self, load: Load) -> Recorded:
        """Invocations that succeeded, their runs in the journal, and the runs' results."""
        done = (
            "FROM sys_invocation_status i WHERE i.status = 'completed'"
            f" AND i.completion_result = 'success' AND i.target_handler_name = '{load.canvas}'"
        )
        entries = f"FROM sys_journal j WHERE j.id IN (SELECT i.id {done}) AND j.entry_type"
        return Recorded(
            self._count(f"SELECT count(*) AS n {done}"),
            self._count(f"SELECT count(*) AS n {entries} = 'Command: Run'"),
            self._count(f"SELECT count(*) AS n {entries} = 'Notification: Run'"),
        )

    def _is_open(self, invocation: str) -> bool:
        path = f"/restate/invocation/{invocation}/output"
        status, said = self._ingress.answer("GET", path)
        if status not in {200, _NOT_READY}:
            raise SystemExit(f"{invocation} was answered {status}: {said[:300]!r}")
        return status == _NOT_READY

    def _count(self, query: str) -> int:
        until = time.monotonic() + _MOVED_SECONDS
        while True:
            status, said = self._admin.answer("POST", "/query", {"query": query})
            if status < 300:
                rows: list[dict[str, Any]] = json.loads(said)["rows"]
                return int(rows[0]["n"])
            if not any(each in said for each in _MOVING) or time.monotonic() > until:
                raise SystemExit(f"{query} was answered {status}: {said[:300]!r}")
            time.sleep(0.1)


@contextlib.contextmanager
def peer(place: Installed, folder: Path, log: Path) -> Iterator[tuple[Restate, dict[str, str]]]:
    """Restate, up and able to work, and its settings. Its handlers wait without threads, so a
    process for each core is all that they need."""
    with (
        restate(place, os.cpu_count() or 1, folder / "restate", log) as started,
        contextlib.closing(Restate(started)) as side,
    ):
        yield side, started.setting
