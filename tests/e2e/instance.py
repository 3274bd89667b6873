"""An instance for a folder of tests: its clock may be moved, its key is an administrator's."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from app.identity import keys
from ops.laptop.profile import Ports, Profile, open_profile
from ops.laptop.supervisor import Supervisor
from tests.e2e.stack import CORE, Json, Stack
from tests.forgetting import forget

ANY_PORT = Ports(web=0, flower=0, sandbox=0, postgres=0, valkey=0)
SETTINGS = {
    "LEASE_SECONDS": "3",
    "RECONCILE_SECONDS": "0.5",
    "REPUBLISH_SECONDS": "3",
    "REPLICATE_POLL_SECONDS": "2.5",
    "VERCEL_POLL_SECONDS": "2.5",
    "N8N_POLL_SECONDS": "2.5",
    "WEB_THREADS": "8",
}
QUICK = {
    "replicate__duration_seconds": 0.4,
    "vercel__build_seconds": 0.4,
    "n8n__delay_seconds": 0.1,
}


@contextlib.contextmanager
def running_instance(folder: Path, *worker_options: str, **settings: str) -> Iterator[Stack]:
    """PostgreSQL, Valkey, sandbox, front, reconciler and a worker of all queues on free ports.

    `worker_options` are those of `playalter worker`, `settings` those that differ from SETTINGS.
    """
    _claim(folder)
    with open_profile(
        folder / "data",
        os.environ,
        ports=ANY_PORT,
        overrides=SETTINGS | settings,
        database="playalter_test",
    ) as profile:
        core = [service for service in profile.services() if service.name in CORE]
        with Supervisor(core, keep_open=[profile.data.lock]) as supervisor:
            key = make_key(profile)
            stack = Stack(profile, supervisor, key, worker_options=worker_options)
            stack.change(**QUICK)
            stack.hurry()
            with stack.workers():
                yield stack
            stack.close()


def _claim(folder: Path) -> None:
    """Fail where another process of this run has the instance: its tests belong together."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        (folder.parents[1] / f"{folder.name}.claimed").touch(exist_ok=False)


@contextlib.contextmanager
def received_events(stack: Stack, *, are_wanted: bool = True) -> Iterator[list[Json]]:
    """The events that Celery's receivers (Flower is one) get from here on.

    As Flower does, it asks the workers for those of tasks, or asks that none are sent.
    """
    got: list[Json] = []
    stopping = threading.Event()
    listening = threading.Event()

    def listen() -> None:
        with (
            Celery(broker=stack.profile.valkey().url(), set_as_current=False) as app,
            app.connection_for_read() as connection,
        ):
            receiver: Any = app.events.Receiver(connection, handlers={"*": got.append})
            with receiver.consumer_context() as (own, _, _):
                ask = app.control.enable_events if are_wanted else app.control.disable_events
                ask(reply=True, timeout=2.0)
                listening.set()
                while not stopping.is_set():
                    with contextlib.suppress(TimeoutError):
                        own.drain_events(timeout=0.2)

    thread = threading.Thread(target=listen, name="task events")
    thread.start()
    assert listening.wait(10)
    yield got
    stopping.set()
    thread.join(10)
    assert not thread.is_alive()


def make_key(profile: Profile, email: str = "ada@example.com") -> str:
    """A user's key, of an administrator unless an address is given.

    It is made with the settings of the instance; nothing of them stays.
    """
    with pytest.MonkeyPatch.context() as patched:
        for name, value in profile.environment().items():
            patched.setenv(name, value)
        forget()
        try:
            return keys.create_key(email, is_admin=email == "ada@example.com")[1]
        finally:
            forget()
