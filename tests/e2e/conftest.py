"""One instance for the session; before each test the sandbox is calm and the crew complete."""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from app.identity import keys
from ops.laptop.profile import Ports, Profile, open_profile
from ops.laptop.supervisor import Supervisor
from tests.e2e.campaign import REFUSED_BRIEF, Campaign, Customer
from tests.e2e.stack import CORE, Json, Stack, until
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
REFUSED = "refused-at-stripe"
QUICK = {
    "replicate__duration_seconds": 0.4,
    "vercel__build_seconds": 0.4,
    "n8n__delay_seconds": 0.1,
}


@pytest.fixture(scope="package")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL, Valkey, sandbox, front, reconciler and a prefork worker on free ports."""
    folder = tmp_path_factory.mktemp("instance") / "data"
    with open_profile(folder, os.environ, ports=ANY_PORT, overrides=SETTINGS) as profile:
        core = [service for service in profile.services() if service.name in CORE]
        with Supervisor(core, keep_open=[profile.data.lock]) as supervisor:
            stack = Stack(profile, supervisor, make_key(profile))
            stack.change(**QUICK)
            with stack.workers():
                yield stack
            stack.close()


@pytest.fixture(scope="package")
def refused_campaign(instance: Stack) -> Campaign:
    """A campaign whose authorization meets a 429 and then a stored 500, under way since the start.

    Whether a call that ended in a 500 had an effect is settled when its deadline of a minute has
    passed: the other tests run meanwhile. Its brief is refused, so that it meets none of the faults
    that are meant for others; these have to name their customer at `payment_intents.create`.
    """
    create = ("stripe", "payment_intents.create", "status")
    instance.fault(*create, status=429, retry_after=2, match=REFUSED)
    stored = instance.fault(*create, status=500, stored=True, match=REFUSED)
    email = f"{REFUSED}@example.com"
    campaign = Customer(instance).start(1, customer_email=email, brief=REFUSED_BRIEF)
    until("the stored 500 at Stripe", stored, 30.0, campaign.dump)
    return campaign


@pytest.fixture
def stack(instance: Stack, refused_campaign: Campaign) -> Iterator[Stack]:
    """The instance without faults, all of it up."""
    instance.calm()
    yield instance
    instance.await_ready(*(name for name in CORE if name != "migrate"))
    instance.calm()


@pytest.fixture(scope="package")
def regular(instance: Stack) -> Customer:
    """A customer whose photographs are uploaded once."""
    return Customer(instance)


@pytest.fixture
def customer(stack: Stack, regular: Customer) -> Customer:
    """A customer of a calm instance."""
    return regular


@pytest.fixture
def task_events(stack: Stack) -> Iterator[list[Json]]:
    """The task events of the instance from here on."""
    with received_events(stack) as got:
        yield got


@contextlib.contextmanager
def received_events(stack: Stack) -> Iterator[list[Json]]:
    """The task events that Celery's receivers (Flower is one) get from here on."""
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


@pytest.fixture(scope="package")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An instance of its own, whose clock may be moved, and the key of an administrator."""
    folder = tmp_path_factory.mktemp("own") / "data"
    with open_profile(
        folder, os.environ, ports=ANY_PORT, overrides=SETTINGS, database="playalter_test"
    ) as profile:
        core = [service for service in profile.services() if service.name in CORE]
        with Supervisor(core, keep_open=[profile.data.lock]) as supervisor:
            stack = Stack(profile, supervisor, make_key(profile, is_admin=True))
            with stack.workers():
                yield stack
            stack.close()


def make_key(profile: Profile, *, is_admin: bool = False) -> str:
    """An API key, made with the settings of the instance; nothing of them stays behind."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in profile.environment().items():
            patched.setenv(name, value)
        forget()
        try:
            return keys.create_key("ada@example.com", is_admin=is_admin)[1]
        finally:
            forget()
