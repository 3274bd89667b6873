"""A whole instance in processes of its own, and what a test may do to it from outside.

Invariant: nothing here reaches into a process but by HTTP, SQL, Redis and signals.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psycopg2
import psycopg2.extras
import redis
import requests
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from app import db
from app.broker.links import task_id
from ops.laptop.profile import Profile
from ops.laptop.service import Service, State
from ops.laptop.supervisor import Supervisor

Json = dict[str, Any]
T = TypeVar("T")

CORE = ("postgres", "valkey", "sandbox", "migrate", "web", "reconciler")
PLATFORMS = ("control", "stripe", "openai", "replicate", "vercel", "agora", "n8n", "http")
LOOK_SECONDS = 0.1
"""The first pause of `until`. A look costs the front milliseconds of CPU, so what takes long is
looked at ever less often."""
LONGEST_LOOK_SECONDS = 0.5
LOG_LINES = 25


def until(
    what: str, look: Callable[[], T | None], seconds: float, dump: Callable[[], str] | None = None
) -> T:
    """The first true answer of `look`; AssertionError with `dump()` after `seconds`."""
    ends = time.monotonic() + seconds
    pause = LOOK_SECONDS
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > ends:
            told = f"\n{dump()}" if dump else ""
            raise AssertionError(f"after {seconds:g} s still waiting for {what}{told}")
        time.sleep(pause)
        pause = min(pause * 1.2, LONGEST_LOOK_SECONDS)


@dataclass
class Stack:
    """The instance: core services for the session, workers that a test may replace."""

    profile: Profile
    core: Supervisor
    key: str = ""
    crew: Supervisor | None = None
    worker_options: tuple[str, ...] = ()
    """The options of `playalter worker` for the worker of all queues."""
    _http: requests.Session = field(default_factory=requests.Session)
    _defaults: Json = field(default_factory=dict)

    def close(self) -> None:
        """Let connections go."""
        self._http.close()

    # What a customer sees.

    def api(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send a request with the API key; one that could not be sent is tried again for a while.

        Reads and the keyed start may be repeated; a front that is being restarted must not matter.
        """
        headers = {"Authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        for pause in (0.2, 0.5, 1.0, 2.0, 3.0, 3.0, 3.0, None):
            try:
                answer = self._http.request(
                    method, self.profile.url + path, headers=headers, timeout=15, **more
                )
            except requests.ConnectionError:
                if pause is None:
                    raise
            else:
                if answer.status_code < 500 or pause is None:
                    return answer
            time.sleep(pause)
        raise AssertionError("unreachable")

    def get(self, address: str, **more: Any) -> requests.Response:
        """Fetch an absolute address without a key."""
        return self._http.get(address, timeout=15, **more)

    def post(self, address: str, body: Json) -> requests.Response:
        """Send JSON to an absolute address without a key."""
        return self._http.post(address, json=body, timeout=15)

    # The sandbox.

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the sandbox's control API."""
        address, headers = self.profile.sandbox_url + path, self.profile.sandbox_headers
        answer = self._http.request(method, address, json=body, headers=headers, timeout=8)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def fault(self, vendor: str, operation: str, kind: str, **more: Any) -> Callable[[], int]:
        """Plan a fault; the function returned says how often it has hit."""
        entry = {"vendor": vendor, "operation": operation, "kind": kind, **more}
        planned = self.control("POST", "/faults", entry)

        def hits() -> int:
            known = self.control("GET", "/faults")["faults"]
            return next(int(each["hits"]) for each in known if each["id"] == planned["id"])

        return hits

    def change(self, **settings: Any) -> None:
        """Change the sandbox's settings; `replicate__hold` stands for `replicate.hold`."""
        renamed = {name.replace("__", "."): value for name, value in settings.items()}
        self.control("PUT", "/settings", renamed)

    def hurry(self) -> None:
        """Let the vendors send webhooks again soon: no test waits for their own schedules."""
        self.change(webhook__retry_seconds=0.5)

    def calm(self) -> None:
        """Forget the faults and put the sandbox's settings back; the books stay."""
        if not self._defaults:
            self._defaults = self.control("GET", "/settings")
        self.control("DELETE", "/faults")
        self.control("PUT", "/settings", self._defaults)

    def journal(self) -> list[Json]:
        """Every effect in the sandbox's books, in order."""
        entries: list[Json] = self.control("GET", "/journal")["entries"]
        return entries

    # The stores.

    def rows(self, sql: str, *parameters: Any) -> list[Json]:
        """Run one statement in PostgreSQL on a connection of its own."""
        address = db.dsn(self.profile.postgres().url(self.profile.database))
        with contextlib.closing(psycopg2.connect(address, connect_timeout=5)) as connection:
            connection.autocommit = True
            with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.execute(sql, parameters)
                return [dict(row) for row in cursor.fetchall()]

    def flush_valkey(self) -> None:
        """Empty Valkey: every queue, every unacknowledged message."""
        with self._valkey() as client:
            client.flushall()

    def pushed(self) -> int:
        """The number of messages that were put into queues since Valkey was started."""
        with self._valkey() as client:
            return int(client.info("commandstats")["cmdstat_lpush"]["calls"])

    def _valkey(self) -> redis.Redis:
        return redis.Redis.from_url(
            self.profile.valkey().url(), socket_timeout=5, retry=Retry(NoBackoff(), 0)
        )

    # Processes.

    def pid(self, name: str) -> int:
        """The first process of a service, once it has one."""
        return until(f"a process of {name}", lambda: self._pids().get(name), 30.0, self.dump)

    def _pids(self) -> dict[str, int]:
        crew = self.crew.status() if self.crew else []
        return {each.name: each.pid for each in [*self.core.status(), *crew] if each.pid}

    def kill(self, *names: str) -> None:
        """kill -9 all processes of services at the same moment; returns when that was noticed."""
        before = {name: self.restarts(name) for name in names}
        for name in names:
            self.pid(name)
        for name in names:
            self._owner(name).kill(name)

        def is_noticed() -> bool:
            return all(self.restarts(name) > count for name, count in before.items())

        until(f"the death of {', '.join(names)}", is_noticed, 10.0, self.dump)

    def _owner(self, name: str) -> Supervisor:
        of_crew = self.crew.status() if self.crew else []
        is_crew = any(each.name == name for each in of_crew)
        return self.crew if self.crew and is_crew else self.core

    def restarts(self, name: str) -> int:
        """How often a service was started again."""
        crew = self.crew.status() if self.crew else []
        found = [each for each in [*self.core.status(), *crew] if each.name == name]
        return found[0].restarts

    def await_ready(self, *names: str, seconds: float = 60.0) -> None:
        """Wait until services are up."""

        def is_up() -> bool:
            crew = self.crew.status() if self.crew else []
            states = {each.name: each.state for each in [*self.core.status(), *crew]}
            return all(states[name] is State.READY for name in names)

        until(f"{', '.join(names)} to be ready", is_up, seconds, self.dump)

    def busy_children(self, workflow_id: str) -> list[int]:
        """The pool processes that have messages of a workflow in hand, as their workers say."""
        # A connection of its own: kombu's pools keep those that a killed Valkey has closed.
        with (
            Celery(broker=self.profile.valkey().url(), set_as_current=False) as app,
            app.connection_for_write() as connection,
        ):
            active = app.control.inspect(timeout=0.5, connection=connection).active() or {}
        tasks = [task for found in active.values() for task in found]
        return [task["worker_pid"] for task in tasks if task["args"][0] == workflow_id]

    @contextlib.contextmanager
    def workers(self, services: Sequence[Service] = ()) -> Iterator[None]:
        """Let these workers, else one for all queues, do the work within the block."""
        assert self.crew is None
        chosen = services or [self.worker()]
        with Supervisor(chosen, keep_open=[self.profile.data.lock]) as crew:
            self.crew = crew
            try:
                yield
            finally:
                self.crew = None

    @contextlib.contextmanager
    def other_workers(self, *services: Service) -> Iterator[None]:
        """Let the crew rest and these workers do its work within the block."""
        rested, self.crew = self.crew, None
        assert rested is not None
        rested.stop()
        try:
            with self.workers(services):
                yield
        finally:
            self.crew = Supervisor([self.worker()], keep_open=[self.profile.data.lock])
            self.crew.start()

    def worker(self, *options: str) -> Service:
        """A worker for all queues with these options, by default those of the instance."""
        chosen = options or self.worker_options
        # Its stores are another supervisor's.
        return replace(self.profile.worker("worker", *chosen), depends_on=())

    def worker_of(self, name: str, *queues: str, processes: int = 1) -> Service:
        """A worker with a name of its own that reads these queues alone."""
        profiled = self.worker("--name", name)
        argv = [sys.executable, "-m", "celery", "-A", "chains.worker", "worker", "-E"]
        argv += ["-Q", ",".join(queues), "-c", str(processes), "-n", f"{name}@%h"]
        argv += ["--without-gossip", "--without-mingle", "--loglevel", "INFO"]
        return replace(
            profiled,
            name=name,
            argv=tuple(argv),
            log=profiled.log.with_name(f"{name}.log"),
            environment=lambda: {**profiled.environment(), "REMAP_SIGTERM": "SIGQUIT"},
        )

    def dump(self) -> str:
        """The states of the services and the last lines of their logs."""
        crew = self.crew.status() if self.crew else []
        states = [
            f"{each.name}: {each.state}, process {each.pid}, {each.restarts} restarts"
            for each in [*self.core.status(), *crew]
        ]
        logs = [_tail(path) for path in sorted((self.profile.data.path / "logs").glob("*.log"))]
        return "\n".join([*states, *logs])


def _tail(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return "\n".join([f"--- {path.name}", *(line[:400] for line in lines)])


def are_told(stack: Stack, workflow_id: str, task_events: list[Json]) -> bool:
    """Whether receivers are told of every step of the workflow, within ten seconds."""
    rows = stack.rows("SELECT key FROM steps WHERE workflow_id = %s", workflow_id)
    keys = {str(task_id(UUID(workflow_id), row["key"])): row["key"] for row in rows}

    def told(kind: str) -> set[str]:
        return {event["uuid"] for event in list(task_events) if event["type"] == kind}

    def missing() -> dict[str, Any]:
        kinds = ("task-received", "task-started", "task-succeeded")
        return {k: lost for k in kinds if (lost := sorted(keys[i] for i in set(keys) - told(k)))}

    what = "the task events of all steps"
    return until(what, lambda: not missing(), 10.0, lambda: str(missing()))
