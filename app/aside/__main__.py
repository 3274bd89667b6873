"""The child process: `python -m app.aside MODULE` does the jobs of MODULE.JOBS, one after another.

A job that takes more CPU time than its owner allows ends the child by SIGPROF, whatever it is doing
then. The child ends when its owner has ended, because its stdin then ends.
"""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from app import errors
from app.aside.frames import Head, packed, received_from, send

Job = Callable[[Head, bytes], tuple[Any, bytes]]

IDLE_SECONDS = 60.0
"""A child without work for so long ends. Its owner starts another when it needs one."""
_NICE = 10


def main(module: str) -> None:
    """Do jobs until the owner has ended or asks for nothing more."""
    requests, answers = _pipes()
    _prepare()
    work: Any = import_module(module)
    _bound_memory(work.MAX_MEMORY)
    with suppress(BrokenPipeError, KeyboardInterrupt):
        while (request := received_from(requests, IDLE_SECONDS)) is not None:
            send(answers, _answer(work.JOBS, *request))


def _pipes() -> tuple[int, int]:
    """The pipes of the frames. What a library prints goes to stderr instead."""
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    return requests, answers


def _prepare() -> None:
    """The owner alone is asked to stop, by signals to the group too; the child ends after it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _bound_memory(most: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _answer(jobs: Mapping[str, Job], head: Head, data: bytes) -> bytes:
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, head["cpu_seconds"])
    made, told = b"", Head()
    try:
        told["answer"], made = jobs[head["job"]](head["arguments"], data)
    except errors.PlayalterError as err:
        told["refused"] = [type(err).__name__, err.message, err.code, getattr(err, "field", None)]
    except Exception as err:  # noqa: BLE001 # the owner raises it
        told["failed"] = f"{type(err).__name__}: {err}"
    signal.setitimer(signal.ITIMER_PROF, 0)
    return packed({**told, "cpu_seconds": time.process_time() - began}, made)


if __name__ == "__main__":
    main(sys.argv[1])
