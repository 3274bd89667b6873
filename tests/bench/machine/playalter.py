"""The web front and the reconciler, started as users start them; `command` is the module that takes
the place of `playalter`."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from ops.laptop.ports import free_port
from tests.bench.machine.processes import START_SECONDS, has_ended, running

COMMAND = "ops.cli"


@contextlib.contextmanager
def front(log: Path, command: str = COMMAND) -> Iterator[tuple[int, int]]:
    """`playalter web` on a free port: its pid and the port."""
    port = free_port()
    settings = os.environ | {"WEB_PORT": str(port)}
    with running([sys.executable, "-m", command, "web"], log, environment=settings) as pid:
        _await_answer(pid, port)
        yield pid, port


@contextlib.contextmanager
def reconciler(log: Path, command: str = COMMAND) -> Iterator[int]:
    """`playalter reconciler`: its pid."""
    with running([sys.executable, "-m", command, "reconciler"], log) as pid:
        yield pid


def _await_answer(pid: int, port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and not has_ended(pid):
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"http://127.0.0.1:{port}/healthz", timeout=2).ok:
                return
        time.sleep(0.1)
    raise SystemExit("the front did not start")
