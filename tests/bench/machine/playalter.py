"""The web front and the reconciler, started as users start them; `command` is the module that takes
the place of `playalter`."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from ops.laptop.ports import free_port
from tests.bench.machine.processes import START_SECONDS, has_ended

COMMAND = "ops.cli"


@contextlib.contextmanager
def front(log: Path, command: str = COMMAND) -> Iterator[tuple[int, int]]:
    """`playalter web` on a free port: its pid and the port."""
    port = free_port()
    with _started(log, command, "web", WEB_PORT=str(port)) as pid:
        _await_answer(pid, port)
        yield pid, port


@contextlib.contextmanager
def reconciler(log: Path, command: str = COMMAND) -> Iterator[int]:
    """`playalter reconciler`: its pid."""
    with _started(log, command, "reconciler") as pid:
        yield pid


@contextlib.contextmanager
def _started(log: Path, command: str, *arguments: str, **settings: str) -> Iterator[int]:
    argv = [sys.executable, "-m", command, *arguments]
    with log.open("ab") as out:
        child = subprocess.Popen(
            argv, stdout=out, stderr=out, start_new_session=True, env=os.environ | settings
        )
    try:
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(5)


def _await_answer(pid: int, port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and not has_ended(pid):
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"http://127.0.0.1:{port}/healthz", timeout=2).ok:
                return
        time.sleep(0.1)
    raise SystemExit("the front did not start")
