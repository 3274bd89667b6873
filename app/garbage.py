"""Keeps Python's garbage collector away from objects that live as long as their process.

It also measures what the collector takes of each thread.
"""

import gc
import threading
import time
from typing import Any


class _Taken(threading.local):
    """What collections have taken of this thread, in seconds of its CPU time."""

    seconds = 0.0
    began = 0.0


_taken = _Taken()


def keep_what_is_imported() -> None:
    """Exclude all objects of this moment from garbage collection.

    Call it when all modules are imported, before any fork. Imported modules never become garbage,
    but each collection would visit their objects: this took 5 % of a worker's CPU, paused the web
    process for 0.1 s, and made a forked child copy the memory pages that it shares with its parent.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def measure_collections() -> None:
    """Measure each collection from now on, in every thread (see `collected_seconds`)."""
    if _measure not in gc.callbacks:
        gc.callbacks.append(_measure)


def collected_seconds() -> float:
    """The CPU time that collections have taken of this thread, in seconds.

    A collection runs in the thread that happens to make one object too many. It visits the objects
    of all threads, so it says nothing of what that thread does.
    """
    return _taken.seconds


def _measure(phase: str, _: dict[str, Any]) -> None:
    if phase == "start":
        _taken.began = time.thread_time()
    else:
        _taken.seconds += time.thread_time() - _taken.began
