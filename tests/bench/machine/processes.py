"""The processes of a comparison beside its servers: workers, and who answers their requests."""

import contextlib
import itertools
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

START_SECONDS = 30.0
COMPUTING_THREADS = 32
"""Of a process for steps that do not wait, as the demo starts it: the default of WORKER_THREADS."""
_LINES_TOLD = 20
_numbers = itertools.count()


@contextlib.contextmanager
def worker(
    application: str,
    queues: str,
    concurrency: int,
    log: Path,
    *,
    pool: str = "prefork",
    settings: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """A worker that sends no task events; yields its pid, ends it at the end. `settings` take the
    place of this process's."""
    argv = [sys.executable, "-m", "celery", "-A", application, "worker", "-c", str(concurrency)]
    argv += ["-P", pool, "-n", f"{pool}-{queues.replace(',', '-')}-{next(_numbers)}@%h"]
    argv += ["-Q", queues, "--without-gossip", "--without-mingle", "-l", "WARNING"]
    environment = os.environ | dict(settings or {})
    with running(argv, log, environment=environment, stop_seconds=20.0) as pid:
        yield pid


@contextlib.contextmanager
def thread_workers(
    application: str, queues: str, threads: int, processes: int, log: Path
) -> Iterator[list[int]]:
    """Our workers for these queues: so many processes with so many threads each; their pids."""
    with contextlib.ExitStack() as stack:
        made = [worker(application, queues, threads, log, pool="threads") for _ in range(processes)]
        yield [stack.enter_context(each) for each in made]


@contextlib.contextmanager
def running(
    argv: Sequence[str],
    log: Path,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stop_seconds: float = 10.0,
) -> Iterator[int]:
    """A process in a group of its own: its pid. At the end it is asked to stop, then killed with
    its group."""
    with log.open("ab") as out:
        child = subprocess.Popen(
            argv, stdout=out, stderr=out, cwd=folder, env=environment, start_new_session=True
        )
    try:
        yield child.pid
    finally:
        child.terminate()
        try:
            child.wait(stop_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(5)


def has_ended(pid: int) -> bool:
    """Whether a process has ended, also one that its parent has not yet waited for."""
    try:
        text = (Path("/proc") / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return text.rpartition(")")[2].split()[0] in {"Z", "X"}


@contextlib.contextmanager
def log_told(log: Path) -> Iterator[None]:
    """Add the last of a log, which is about to be deleted, to the reason for which we give up."""
    try:
        yield
    except SystemExit as err:
        if not isinstance(err.code, str):
            raise
        lines = log.read_text(errors="replace").splitlines()[-_LINES_TOLD:]
        raise SystemExit("\n".join([err.code, f"the last lines of {log.name}:", *lines])) from err


@contextlib.contextmanager
def stopped(worker_pids: tuple[int, ...]) -> Iterator[None]:
    """Hold workers and their children still for the block."""
    # Each was started in a session of its own, so its children are in its group.
    for pid in worker_pids:
        os.killpg(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in worker_pids:
            os.killpg(pid, signal.SIGCONT)


@contextlib.contextmanager
def answering() -> Iterator[tuple[str, int]]:
    """The address and the pid of a server that answers after 100 ms; it is in nobody's figures."""
    argv = [sys.executable, "-m", "tests.bench.machine.answering"]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    with child, child.stdin, child.stdout:
        try:
            if not select.select([child.stdout], [], [], START_SECONDS)[0]:
                raise SystemExit("the server that answers requests did not start")
            yield f"http://127.0.0.1:{int(child.stdout.readline())}/", child.pid
        finally:
            child.terminate()
            child.wait(5)
