"""The sides of a comparison, up and able to work on one set of servers."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from app.broker.celery import CONTROL_QUEUE
from app.identity.keys import create_key
from tests.bench.comparing import actions
from tests.bench.comparing.measure import Meter
from tests.bench.comparing.sides import Durable, OverHttp, Raw, Side, set_addresses
from tests.bench.machine import playalter
from tests.bench.machine.asking import Asking
from tests.bench.machine.processes import (
    COMPUTING_THREADS,
    answering,
    log_told,
    thread_workers,
    worker,
)
from tests.bench.machine.servers import Servers, servers
from tests.bench.restate.installed import installed
from tests.bench.restate.side import peer

OUR_QUEUES = f"{CONTROL_QUEUE},{actions.QUEUE}"
OUR_WORKER = "tests.bench.comparing.durable:celery_app"
PLAYALTER = "tests.bench.comparing.playalter"
WAITING_THREADS = 250
RESTATE = "restate"
HTTP = "http"


@dataclass(frozen=True)
class Options:
    """How loads are run; `seconds` bounds a run's size, None leaves it as the load says."""

    concurrency: int = 4
    runs: int = 5
    seconds: float | None = 10.0
    is_submitted: bool = False
    """Whether the submission is timed."""
    is_over_http: bool = False
    """Whether workflows are also submitted through the web front."""
    peer: str | None = None
    """RESTATE, or no further system."""
    others_cores: float = 0.1
    """A round in which all others had more of the CPU does not count."""


@dataclass(frozen=True)
class Arena:
    """The sides in the order of a round, what measures them, and what is to be said of them."""

    meter: Meter
    sides: tuple[Side, ...]
    setting: dict[str, str]


@contextlib.contextmanager
def arena(options: Options, folder: Path, say: Callable[[str], None]) -> Iterator[Arena]:
    """Servers, and the workers of all sides, up and able to work."""
    # Before anything runs: it may have to be fetched.
    restate = installed(say) if options.peer == RESTATE else None
    actions.register()
    log = folder / "worker.log"
    with (
        log_told(log),
        servers(folder) as started,
        answering() as (address, answering_pid),
        redis.Redis.from_url(started.valkey(2), socket_timeout=5) as results,
        contextlib.ExitStack() as stack,
    ):
        set_addresses(started.valkey(1), started.valkey(2), address)
        setting: dict[str, str] = {}
        sides: list[Side] = [*stack.enter_context(_ours(started, options, log))]
        sides.append(stack.enter_context(_raw(started, options, log, results)))
        if restate:
            theirs, said = stack.enter_context(peer(restate, folder, log))
            sides.append(theirs)
            setting |= said
        meter = Meter(started, results, options.is_submitted, (answering_pid,))
        yield Arena(meter, tuple(sides), setting)


@contextlib.contextmanager
def _ours(started: Servers, options: Options, log: Path) -> Iterator[list[Side]]:
    with (
        thread_workers(
            OUR_WORKER, OUR_QUEUES, COMPUTING_THREADS, options.concurrency, log
        ) as computing,
        thread_workers(
            OUR_WORKER, actions.WAITING_QUEUE, WAITING_THREADS, os.cpu_count() or 1, log
        ) as waiting,
        playalter.reconciler(log, PLAYALTER) as reconciler_pid,
        contextlib.ExitStack() as stack,
    ):
        workers = (*computing, *waiting)
        sides: list[Side] = [Durable(started, started.user_id, workers, (reconciler_pid,))]
        if options.is_over_http:
            web_pid, port = stack.enter_context(playalter.front(log, PLAYALTER))
            user_id, key = create_key("http@example.com")
            asking = Asking(
                port, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            )
            stack.callback(asking.close)
            sides.append(OverHttp(started, user_id, workers, (reconciler_pid, web_pid), asking))
        yield sides


@contextlib.contextmanager
def _raw(started: Servers, options: Options, log: Path, results: "redis.Redis") -> Iterator[Raw]:
    with (
        worker("tests.bench.comparing.raw:app", "raw", options.concurrency, log) as pid,
        contextlib.closing(Raw(pid, started.valkey_pid, results)) as side,
    ):
        yield side
