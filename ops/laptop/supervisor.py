"""Starts services in the order of their dependencies, restarts dead ones, and stops them all.

Only `_tick` changes the state of services after their start. Each service runs in its own session.
When the first process of a service ends, the rest of its process group is killed, and only then the
first process is reaped. No process is left at the end.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType, TracebackType

from ops.laptop.faults import LaptopFault, ServiceFailed
from ops.laptop.guard import Guard
from ops.laptop.ports import require_free
from ops.laptop.service import Run, Service, ServiceStatus, State, in_order

TICK_SECONDS = 0.05
QUICK_DEATH_SECONDS = 20.0
QUICK_DEATHS = 5
FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 15.0


class Supervisor:
    """Runs `services`. Use it as a context manager, or call `start` and `stop`."""

    def __init__(self, services: Sequence[Service], *, keep_open: Sequence[int] = ()) -> None:
        """`keep_open` are file descriptors (the lock) that stay open until all services end."""
        self._runs = {service.name: Run(service) for service in in_order(services)}
        self._keep_open = tuple(keep_open)
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self._guard: Guard | None = None
        self.failure: ServiceFailed | None = None

    def __enter__(self) -> "Supervisor":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all services and return when all are ready.

        Raises PortTaken, before it starts anything, if a port is in use. Raises ServiceFailed if a
        service does not become ready, after it has stopped the other services.
        """
        for run in self._runs.values():
            run.service.prepare()
            run.is_prepared = True
        require_free([port for run in self._runs.values() for port in run.service.ports])
        self._guard = Guard(self._keep_open)
        try:
            while not self._is_settled():
                self._tick()
                time.sleep(TICK_SECONDS)
        except BaseException:
            self.stop()
            raise
        if self.failure:
            self.stop()
            raise self.failure
        self._watcher.start()

    def status(self) -> list[ServiceStatus]:
        """The state of each service now, in the order in which they are started."""
        with self._lock:
            return [run.status() for run in self._runs.values()]

    def restart(self, name: str, seconds: float = 30.0) -> None:
        """Restart one service and wait until it is ready.

        Raises ServiceFailed if it is not ready after `seconds`.
        """
        with self._lock:
            run = self._runs[name]
            self._end(run)
            self._spawn(run)
        until = time.monotonic() + seconds
        while run.state is not State.READY and not self.failure and time.monotonic() < until:
            time.sleep(TICK_SECONDS)
        if run.state is not State.READY:
            raise self.failure or _failed(run, f"not ready after {seconds:g} s")

    def kill(self, name: str) -> None:
        """Kill all processes of a running service, for tests of faults.

        The service is restarted like any service that died. Such a death does not count as a quick
        death, so it never makes the supervisor give the service up.
        """
        with self._lock:
            run = self._runs[name]
            if run.child:
                os.killpg(run.child.pid, signal.SIGKILL)
                run.was_killed = True

    def add(self, service: Service) -> None:
        """Start one more service, which depends on services that are there already."""
        with self._lock:
            self._runs[service.name] = Run(service)

    def retire(self, name: str) -> None:
        """Let a service end its work, and forget it when it has ended. It is not restarted."""
        with self._lock:
            run = self._runs[name]
            run.state = State.RETIRING
            run.stop_at = time.monotonic() + run.service.retire_seconds
            run.signal(run.service.retire_signal)

    def stop(self) -> None:
        """Stop all services in reverse order, and kill those that do not end in time.

        Returns when no process is left. A second call does nothing.
        """
        with _signals_blocked():
            self._stopping.set()
            if self._watcher.is_alive():
                self._watcher.join()
            self._stop_all()

    def _stop_all(self) -> None:
        with self._lock:
            for run in reversed(self._runs.values()):
                run.state = State.STOPPED if run.child is None else State.STOPPING
                run.stop_at = None
            while any(run.child for run in self._runs.values()):
                self._stop_independent()
                time.sleep(TICK_SECONDS)
            if self._guard:
                self._guard.close()
                self._guard = None

    def _stop_independent(self) -> None:
        for run in reversed(self._runs.values()):
            if run.child is None or self._has_running_dependent(run):
                continue
            if run.stop_at is None:
                run.stop_at = time.monotonic() + run.service.stop_seconds
                run.signal(run.service.stop_signal)
            if run.has_ended() or time.monotonic() > run.stop_at:
                self._reap(run)
                run.state = State.STOPPED

    def _has_running_dependent(self, run: Run) -> bool:
        name = run.service.name
        return any(r.child and name in r.service.depends_on for r in self._runs.values())

    def _is_settled(self) -> bool:
        good = (State.READY, State.DONE)
        return bool(self.failure) or all(run.state in good for run in self._runs.values())

    def _watch(self) -> None:
        while not self._stopping.wait(TICK_SECONDS * 4):
            self._tick()

    def _tick(self) -> None:
        with self._lock:
            if self._guard and self._guard.is_dead():
                self._renew_guard()
            for run in list(self._runs.values()):
                self._advance(run)

    def _advance(self, run: Run) -> None:
        if run.state is State.RETIRING:
            self._let_go(run)
        elif run.state is State.WAITING:
            if self._may_start(run):
                self._try_to_spawn(run)
        elif run.child and run.has_ended():
            self._ended(run)
        elif run.state is State.STARTING:
            self._probe(run)

    def _let_go(self, run: Run) -> None:
        """Forget a service that has ended its work. Stop and then kill it if it needs too long."""
        is_late = time.monotonic() > (run.stop_at or 0.0)
        if run.has_ended() or (is_late and run.was_stopped):
            if run.child:
                self._reap(run)
            del self._runs[run.service.name]
        elif is_late:
            run.was_stopped = True
            run.stop_at = time.monotonic() + run.service.stop_seconds
            run.signal(run.service.stop_signal)

    def _may_start(self, run: Run) -> bool:
        good = (State.READY, State.DONE)
        needed = all(self._runs[name].state in good for name in run.service.depends_on)
        return needed and time.monotonic() >= run.start_at

    def _probe(self, run: Run) -> None:
        if not run.service.one_shot and run.service.ready():
            run.state, run.was_ready = State.READY, True
        elif run.age() > run.service.ready_seconds:
            run.death_reason = f"not ready after {run.service.ready_seconds:g} s"
            self._reap(run)
            self._restart_or_fail(run)

    def _try_to_spawn(self, run: Run) -> None:
        run.started_at = time.monotonic()
        try:
            self._spawn(run)
        except (OSError, LaptopFault) as err:
            run.death_reason = f"could not be started: {err}"
            self._restart_or_fail(run)

    def _spawn(self, run: Run) -> None:
        service = run.service
        if not run.is_prepared:
            service.prepare()
        run.is_prepared = False
        service.log.parent.mkdir(parents=True, exist_ok=True)
        with service.log.open("ab") as log:
            run.log_from = log.tell()
            run.child = subprocess.Popen(
                service.argv,
                env=dict(service.environment()),
                cwd=service.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if self._guard:
            self._guard.watch(run.child.pid, service.stop_signal)
        run.state, run.started_at, run.stop_at = State.STARTING, time.monotonic(), None

    def _ended(self, run: Run) -> None:
        code = self._reap(run)
        run.death_reason = f"ended with exit code {code}"
        if run.service.one_shot and code == 0:
            run.state = State.DONE
        else:
            self._restart_or_fail(run)

    def _restart_or_fail(self, run: Run) -> None:
        run.restarts += 1
        is_quick = run.age() < QUICK_DEATH_SECONDS and not run.was_killed
        run.quick_deaths, run.was_killed = run.quick_deaths + 1 if is_quick else 1, False
        is_hopeless = run.service.one_shot or run.quick_deaths >= QUICK_DEATHS
        # A service that was never ready in time would hang again, so do not start it again.
        if is_hopeless or (not run.was_ready and run.age() > run.service.ready_seconds):
            if run.service.is_spare:
                run.state = State.RETIRING
                return
            run.state = State.FAILED
            self.failure = _failed(run, run.death_reason)
            return
        backoff = FIRST_BACKOFF_SECONDS * 2 ** (run.quick_deaths - 1)
        run.start_at = time.monotonic() + min(backoff, LONGEST_BACKOFF_SECONDS)
        run.state = State.WAITING

    def _end(self, run: Run) -> None:
        """Stop one service, even if other services depend on it."""
        if run.child is None:
            return
        run.signal(run.service.stop_signal)
        until = time.monotonic() + run.service.stop_seconds
        while not run.has_ended() and time.monotonic() < until:
            time.sleep(TICK_SECONDS)
        self._reap(run)

    def _reap(self, run: Run) -> int:
        """Kill the rest of the process group, reap its first process and return its exit code."""
        assert run.child is not None
        pid = run.child.pid
        # The first process is not reaped yet, so no other process can have its id.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        code = run.child.wait()
        run.child = None
        if self._guard:
            self._guard.forget(pid)
        return code

    def _renew_guard(self) -> None:
        if self._guard:
            self._guard.close()
        self._guard = Guard(self._keep_open)
        for run in self._runs.values():
            if run.child:
                self._guard.watch(run.child.pid, run.service.stop_signal)


def _failed(run: Run, reason: str) -> ServiceFailed:
    return ServiceFailed(run.service.name, reason, run.service.log, run.log_from)


@contextlib.contextmanager
def signals_as_exit() -> Iterator[None]:
    """A context in which SIGTERM and SIGHUP raise SystemExit, so that `with` blocks clean up."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """A context that delays SIGINT, SIGTERM and SIGHUP to its end; use it in the main thread."""
    numbers = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
