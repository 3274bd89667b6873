"""The instance that is broken: the laptop profile on free ports, two workers, a broker that can go.

Invariant: every process started here has ended when `opened` is left.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis
import requests
from celery import Celery
from kombu.exceptions import OperationalError

from ops.laptop.faults import LaptopFault
from ops.laptop.profile import CHECKOUT, Ports, Profile, open_profile
from ops.laptop.service import Service
from ops.laptop.supervisor import Supervisor
from ops.sandbox import photos
from tests.chaos.mix import Pictures
from tests.chaos.plan import SLOTS, THREADED, WORKERS
from tests.e2e.campaign import Customer
from tests.e2e.stack import PLATFORMS, Json, Stack

LEASE_SECONDS = 30.0
TARGETS = 6
COPY_SECONDS = 30.0
CORE = ("postgres", "sandbox", "migrate", "web", "reconciler", "beat", "hooks")
POLL_SECONDS = "20"
SETTINGS = {
    "LEASE_SECONDS": str(LEASE_SECONDS),
    # A webhook that is dropped at the very end must not be waited for longer than the run waits.
    **dict.fromkeys(
        ("REPLICATE_POLL_SECONDS", "VERCEL_POLL_SECONDS", "N8N_POLL_SECONDS"), POLL_SECONDS
    ),
    # The budgets of the definitions are made for it.
    "REPLICATE_CEILING_SECONDS": "60",
    "LOG_LEVEL": "INFO",
}
ANY_PORT = Ports(web=0, flower=0, sandbox=0, postgres=0, valkey=0)


class Broker:
    """Valkey under a supervisor of its own, so that it can stay away for a while."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._supervisor: Supervisor | None = None

    def start(self) -> None:
        """Start it; returns when it answers."""
        service = self._profile.valkey().service(self._profile.data.log("valkey"))
        self._supervisor = Supervisor([service], keep_open=[self._profile.data.lock])
        self._supervisor.start()

    def restart(self) -> None:
        """Stop it and start it again, empty."""
        assert self._supervisor is not None
        self._supervisor.restart("valkey")

    def stop(self) -> None:
        """Stop it; idempotent."""
        if self._supervisor:
            self._supervisor.stop()
            self._supervisor = None


class Copier:
    """A process of the instance that publishes steps once more."""

    def __init__(self, profile: Profile) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.inside", "copies"],
            env=profile.environment(),
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def publish(self, steps: Iterable[tuple[str, str]]) -> None:
        """Publish these (workflow, key) once more; returns when that was done or took too long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(list(steps)) + "\n")
        self._process.stdin.flush()
        if select.select([self._process.stdout], [], [], COPY_SECONDS)[0]:
            self._process.stdout.readline()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True)
class InHand:
    """A message that a worker's child has in hand: its first step (links taken later differ)."""

    worker: str
    pid: int
    workflow: str
    key: str


@dataclass
class Instance:
    """The running instance, and what a strike may do to it beside what `Stack` offers."""

    stack: Stack
    broker: Broker
    copier: Copier

    def in_hand(self) -> list[InHand]:
        """What the workers that answer have in hand; nothing where the broker is away."""
        active: Any = {}
        with (
            contextlib.suppress(OperationalError, redis.RedisError, OSError),
            Celery(broker=self.stack.profile.valkey().url(), set_as_current=False) as app,
            app.connection_for_write() as connection,
        ):
            asked = app.control.inspect(timeout=0.7, connection=connection, limit=len(WORKERS) + 1)
            active = asked.active() or {}
        return [
            InHand(name.partition("@")[0], task["worker_pid"], *task["args"][:2])
            for name, tasks in active.items()
            for task in tasks
            if task.get("worker_pid") and len(task["args"]) >= 2
        ]


def plan_fault(stack: Stack, entry: Json) -> None:
    """Plan a fault at the sandbox, from any thread."""
    address, headers = f"{stack.profile.sandbox_url}/faults", stack.profile.sandbox_headers
    requests.post(address, json=entry, headers=headers, timeout=10).raise_for_status()


def pictures_of(stack: Stack) -> Pictures:
    """Upload photographs once; their artifacts."""
    customer = Customer(stack)
    targets = [customer.upload(data) for _, data in photos.targets(TARGETS)]
    return Pictures(customer.source, tuple(targets), customer.faceless)


@contextlib.contextmanager
def opened(folder: Path, told: int) -> Iterator[Instance]:
    """Start the instance with its data and logs in `folder`; stop it on the way out.

    `told` is a port of loopback to which it may send webhooks.
    """
    environ = os.environ | {
        "OUTBOUND_ALLOWED": f"127.0.0.1:{told}",
        "WEBHOOK_PORTS": str(told),
    }
    with open_profile(folder, environ, ports=ANY_PORT, overrides=SETTINGS) as profile:
        broker = Broker(profile)
        core = [_without_broker(each) for each in profile.services() if each.name in CORE]
        with contextlib.ExitStack() as held:
            held.callback(broker.stop)
            broker.start()
            supervisor = Supervisor(core, keep_open=[profile.data.lock])
            held.enter_context(supervisor)
            stack = Stack(profile, supervisor, _key(profile))
            held.callback(stack.close)
            stack.hurry()
            _run(profile, "tests.chaos.inside", "definitions")
            workers = [_worker(stack, name) for name in WORKERS]
            held.enter_context(stack.workers([*workers, _threaded(stack)]))
            copier = Copier(profile)
            held.callback(copier.close)
            yield Instance(stack, broker, copier)


def _without_broker(service: Service) -> Service:
    return replace(service, depends_on=tuple(n for n in service.depends_on if n != "valkey"))


def _worker(stack: Stack, name: str) -> Service:
    return stack.worker_of(name, *PLATFORMS, processes=SLOTS)


def _threaded(stack: Stack) -> Service:
    service = stack.worker("--name", THREADED, "--threads", str(SLOTS))
    return replace(service, name=THREADED, log=service.log.with_name(f"{THREADED}.log"))


def _key(profile: Profile) -> str:
    made = _run(profile, "ops.cli", "keys", "create", "chaos@example.com")
    return next(word for word in made.split() if word.startswith("pa_"))


def _run(profile: Profile, module: str, *arguments: str) -> str:
    """What a program of the instance prints; LaptopFault with its last words where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=profile.environment(),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode != 0:
        raise LaptopFault(f"{module} {arguments} failed:\n{done.stderr[-2000:]}")
    return done.stdout
