"""A sandbox in a process of its own, and a small server that catches its webhooks."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import requests

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 20.0
T = TypeVar("T")


def until(what: Callable[[], T | None]) -> T:
    """Return the first result that is true; fail after a bounded wait."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"nothing came within {WAIT_SECONDS} s")


def free_base_port() -> int:
    """Return a base with nine free ports, below those that connections draw from."""
    for base in random.sample(range(20_000, 32_000, 9), 100):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(base, base + 9):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return base
    raise AssertionError("no nine free ports in a row")


class Sandbox:
    """The process, its description (addresses and settings), and its control API."""

    def __init__(self, state: Path, base_port: int = 0, hook_base: str = "") -> None:
        self.state, self.base_port, self.hook_base = state, base_port, hook_base
        self.map: dict[str, Any] = {}
        self.http = requests.Session()

    def start(self) -> None:
        """Start and wait for the description on stdout."""
        command = [sys.executable, "-m", "ops.sandbox", "--base-port", str(self.base_port)]
        command += ["--state", str(self.state), "--hook-base", self.hook_base]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._reap()
            raise AssertionError(f"the sandbox ended with {self.process.returncode}")
        self.map = json.loads(line)
        self.key = {"Authorization": f"Bearer {self.map['key']}"}

    def stop(self) -> float:
        """End by SIGTERM; return how many seconds it took."""
        begun = time.monotonic()
        self.process.terminate()
        self._reap()
        return time.monotonic() - begun

    def kill(self) -> None:
        """End by SIGKILL."""
        self.process.kill()
        self._reap()

    def _reap(self) -> None:
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.http.close()

    def env(self, name: str) -> str:
        """Return an environment variable of the description."""
        return str(self.map["env"][name])

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the control API."""
        address = self.map["vendors"]["control"] + path
        answer = self.http.request(method, address, json=body, headers=self.key, timeout=10)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def fault(self, **entry: Any) -> None:
        """Plan a fault."""
        self.control("POST", "/faults", entry)

    def settings(self, **changes: Any) -> None:
        """Change settings; a dot in the name is written as two underscores."""
        renamed = {name.replace("__", "."): value for name, value in changes.items()}
        self.control("PUT", "/settings", renamed)

    def books(self, query: str = "") -> dict[str, int]:
        """Return the counts of effects."""
        counts: dict[str, int] = self.control("GET", f"/books{query}")["counts"]
        return counts


@dataclass
class Catcher:
    """Keeps every webhook it gets: path, headers in lower case, raw body."""

    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        catcher = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                catcher.got.append((self.path, headers, raw))
                self.send_response(catcher.statuses.pop(0) if catcher.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.server.server_close()

    def events(self, path: str, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the JSON bodies that came to a path, of one type if given."""
        bodies = [json.loads(raw) for to, _, raw in self.got if to == path]
        return [body for body in bodies if kind in (None, body.get("type"), body.get("event"))]
