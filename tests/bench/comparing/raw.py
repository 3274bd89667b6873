"""The other side: a Celery application as its manual shows it, results in Redis."""

import os
from typing import Any

import requests
from celery import Celery, chain, chord

app = Celery("raw", broker=os.environ["RAW_REDIS_URL"], backend=os.environ["RAW_RESULTS_URL"])
app.conf.task_default_queue = "raw"
app.conf.broker_connection_retry_on_startup = True

_session = requests.Session()
"""Kept open as ours is; it connects in a pool's child, at the first request."""


@app.task
def noop(x: Any) -> Any:
    """Return what is given."""
    return x


@app.task
def call(x: int) -> int:
    """One request to the server of machine/answering.py; return what is given."""
    _session.get(os.environ["BENCH_URL"], timeout=30).raise_for_status()
    return x


def canvas(name: str, width: int) -> Any:
    """A load's canvas by its name; the id of its result is that of its last task."""
    if name == "fan_out":
        return chord([noop.s(n) for n in range(width)], noop.si(width))
    task = {"three": noop, "calls": call}[name]
    return chain(task.s(0), task.s(), task.s())
