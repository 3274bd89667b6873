"""One Restate server on loopback with data of its own, and the processes that run its handlers.

The server's settings are its defaults but for addresses, telemetry and the web interface: every
step is in its log, each write of which is flushed (`settings` reads that from the server).
"""

import contextlib
import os
import subprocess
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import requests

from ops.laptop.ports import free_port
from tests.bench.machine.processes import has_ended, running
from tests.bench.restate.installed import Installed

START_SECONDS = 60.0
_LOOPBACK = "127.0.0.1"
# https://docs.restate.dev/develop/python/serving#hypercorn
_HYPERCORN = """
h2_max_concurrent_streams = 2147483647
keep_alive_max_requests = 2147483647
keep_alive_timeout = 2147483647
"""


@dataclass(frozen=True)
class Started:
    """What runs, and where."""

    server_pid: int
    handlers_pid: int
    ingress_port: int
    admin_port: int
    setting: dict[str, str]


@contextlib.contextmanager
def restate(installed: Installed, processes: int, folder: Path, log: Path) -> Iterator[Started]:
    """The server and so many processes of handlers, known to it; ends both at the end."""
    folder.mkdir()
    ingress, admin, node, handlers = (free_port() for _ in range(4))
    # What the user's shell says to a Restate of theirs is not for this one.
    inherited = {name: told for name, told in os.environ.items() if not name.startswith("RESTATE_")}
    environment = inherited | _environment(folder / "data", ingress, admin, node)
    (folder / "hypercorn.toml").write_text(
        f'bind = "{_LOOPBACK}:{handlers}"\nworkers = {processes}\n{_HYPERCORN}'
    )
    serving = (str(installed.python), "-m", "hypercorn", "--config", str(folder / "hypercorn.toml"))
    with (
        running(
            (str(installed.server),), log, folder=folder, environment=environment
        ) as server_pid,
        running((*serving, "handlers:app"), log, folder=Path(__file__).parent) as handlers_pid,
    ):
        _await_ready(admin, handlers, (server_pid, handlers_pid))
        yield Started(
            server_pid, handlers_pid, ingress, admin, settings(installed, environment, processes)
        )


def _environment(data: Path, ingress: int, admin: int, node: int) -> dict[str, str]:
    return {
        "RESTATE_NODE_NAME": "bench",
        "RESTATE_BASE_DIR": str(data),
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_BIND_ADDRESS": f"{_LOOPBACK}:{node}",
        "RESTATE_ADVERTISED_ADDRESS": f"http://{_LOOPBACK}:{node}",
        "RESTATE_INGRESS__BIND_ADDRESS": f"{_LOOPBACK}:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"{_LOOPBACK}:{admin}",
        "RESTATE_ADMIN__DISABLE_WEB_UI": "true",
        "RESTATE_AUTO_PROVISION": "true",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "RESTATE_LOG_FILTER": "warn",
        "RESTATE_LOG_DISABLE_ANSI_CODES": "true",
    }


def settings(
    installed: Installed, environment: Mapping[str, str], processes: int
) -> dict[str, str]:
    """What makes the server's steps durable, as it says it would run; and the versions."""
    said = subprocess.run(
        (str(installed.server), "--dump-config"),
        env=environment, capture_output=True, text=True, check=True, timeout=START_SECONDS,
    ).stdout  # fmt: skip
    versions = (
        "from importlib.metadata import version as v;"
        "print(f\"restate-sdk {v('restate-sdk')}, hypercorn {v('hypercorn')}\")"
    )
    sdk = subprocess.run(
        (str(installed.python), "-c", versions),
        capture_output=True, text=True, check=True, timeout=START_SECONDS,
    ).stdout.strip()  # fmt: skip
    version = subprocess.run(
        (str(installed.server), "--version"),
        capture_output=True, text=True, check=True, timeout=START_SECONDS,
    ).stdout.split()[-1]  # fmt: skip
    return {"Restate": f"{version} ({sdk} x {processes}; {durability(said)})"}


def durability(config: str) -> str:
    """What the server's settings (TOML) say of its log. Pure.

    >>> durability("[bifrost]\\ndefault-provider = 'replicated'\\n"
    ...            "[log-server]\\nrocksdb-disable-wal-fsync = false")
    'replicated log, fsync on'
    """
    found = tomllib.loads(config)
    flushes = not found["log-server"]["rocksdb-disable-wal-fsync"]
    return f"{found['bifrost']['default-provider']} log, fsync {'on' if flushes else 'off'}"


def _await_ready(admin: int, handlers: int, pids: tuple[int, ...]) -> None:
    """Register the handlers, as soon as the server takes them."""
    given = {"uri": f"http://{_LOOPBACK}:{handlers}", "use_http_11": False}
    address = f"http://{_LOOPBACK}:{admin}/deployments"
    until, said = time.monotonic() + START_SECONDS, "it did not answer"
    while time.monotonic() < until and not any(has_ended(pid) for pid in pids):
        try:
            answer = requests.post(address, json=given, timeout=10)
            if answer.ok:
                return
            said = answer.text
        except requests.RequestException as err:
            said = str(err)
        time.sleep(0.2)
    raise SystemExit(f"Restate did not start: {said}")
