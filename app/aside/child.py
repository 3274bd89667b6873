"""A process's side of its child: starts it, gives it jobs, bounds them, and survives its death.

Threads take turns. The child is started at the first job, and again after its death. The CPU time
of a job counts as that of the thread that gave it; see `thread_time`.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import structlog

from app import errors, garbage
from app.aside.frames import Head, exchanged, packed
from app.errors import Unavailable

log = structlog.get_logger()

WAIT_SECONDS = 20.0
"""The longest wait of a thread for its turn."""
ANSWER_SECONDS = 120.0
"""The longest wait for an answer. The CPU time of each job is bounded, so only a stopped child or a
very busy machine takes so long."""
TRIES = 2

_ROOT = Path(__file__).resolve().parents[2]
# glibc then returns blocks of 1 MB or more to the system when they are freed.
_RETURNING = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}


class TookTooLong(Exception):
    """The job has used all of its CPU time. It would again."""


class Failed(Exception):
    """The job raised an exception that is no PlayalterError."""


class _Died(Exception):
    """The child ended, and not because of its job's CPU time."""


class _Spent(threading.local):
    seconds = 0.0


_spent = _Spent()


def thread_time() -> float:
    """The CPU time of this thread and of the jobs that children did for it, in seconds.

    Collections of garbage are left out, if they are measured.
    """
    return time.thread_time() + _spent.seconds - garbage.collected_seconds()


class Child:
    """A child that does the jobs of one module, whose name it is given.

    The module has JOBS, the functions by their names, and MAX_MEMORY, the most bytes of its data.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        _children.add(self)

    @property
    def pid(self) -> int | None:
        """The process id of the child; None if it has not been started."""
        return self._process.pid if self._process else None

    def run(
        self, job: str, arguments: Head, data: bytes = b"", *, cpu_seconds: float
    ) -> tuple[Any, bytes]:
        """The answer of a job: a JSON value and bytes.

        Raises what the job raised; TookTooLong if it takes more than `cpu_seconds` of CPU time; and
        Unavailable if no child can do it now, or if two children died of it.
        """
        head = {"job": job, "arguments": arguments, "cpu_seconds": cpu_seconds}
        if not self._turn.acquire(timeout=WAIT_SECONDS):
            raise _unavailable("others wait for the same child process")
        try:
            told, made = self._answered(packed(head, data), cpu_seconds)
        finally:
            self._turn.release()
        _spent.seconds += told["cpu_seconds"]
        if "refused" in told:
            raise _again(*told["refused"])
        if "failed" in told:
            raise Failed(f"{self._module} {job}: {told['failed']}")
        return told["answer"], made

    def _answered(self, request: bytes, cpu_seconds: float) -> tuple[Head, bytes]:
        for _ in range(TRIES):
            try:
                return self._asked(request)
            except _Died as died:
                log.warning("aside.died", module=self._module, exit_code=died.args[0])
                if died.args[0] == -signal.SIGPROF:
                    _spent.seconds += cpu_seconds
                    raise TookTooLong from died
        raise _unavailable("its child process died of it twice")

    def _asked(self, request: bytes) -> tuple[Head, bytes]:
        process = self._living()
        assert process.stdin is not None
        assert process.stdout is not None
        until = time.monotonic() + ANSWER_SECONDS
        try:
            return exchanged(process.stdin.fileno(), process.stdout.fileno(), request, until)
        except TimeoutError as err:
            self.close()
            raise _unavailable(f"it had no answer after {ANSWER_SECONDS:.0f} s") from err
        except (EOFError, OSError) as err:
            # It has closed its pipes, so it ends by itself: killing it would hide why.
            self.close(patience=1.0)
            raise _Died(process.returncode) from err
        except BaseException:
            self.close()  # its answer to this request must not be taken for another's
            raise

    def _living(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._process.poll() is not None:
            self.close()  # it had nothing to do for long, or was killed
        self._process = self._process or self._started()
        return self._process

    def _started(self) -> "subprocess.Popen[bytes]":
        """A child in this process's group, so that what ends the group ends it too."""
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", __package__, self._module],
                bufsize=0,
                cwd=_ROOT,
                env=_RETURNING | os.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        except OSError as err:
            raise _unavailable("no child process can be started") from err
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        return process

    def close(self, patience: float = 0.0) -> None:
        """End the child; first let it end by itself for `patience` seconds."""
        process, self._process = self._process, None
        if process is None:
            return
        _close_pipes(process)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def disown(self) -> None:
        """Let go of the child of the process from which this one was forked.

        That child would not end while its pipe is open here.
        """
        process, self._process = self._process, None
        self._turn = threading.Lock()
        if process is not None:
            _close_pipes(process)
            process.returncode = 0  # it is not this process's to await


def _close_pipes(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def _again(name: str, message: str, code: str, field: str | None) -> errors.PlayalterError:
    """An error that a job raised."""
    more = {} if field is None else {"field": field}
    made: errors.PlayalterError = getattr(errors, name)(message, code=code, **more)
    return made


def _unavailable(why: str) -> Unavailable:
    return Unavailable(
        f"this needs a child process, and {why}; try again in a few seconds", code="aside_busy"
    )


_children: "weakref.WeakSet[Child]" = weakref.WeakSet()


def _disown_all() -> None:
    for child in _children:
        child.disown()


@atexit.register
def _close_all() -> None:
    for child in _children:
        child.close()


os.register_at_fork(after_in_child=_disown_all)
