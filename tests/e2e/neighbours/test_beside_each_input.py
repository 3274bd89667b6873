"""A neighbour's workflows go on beside each of the inputs that once held all others up."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.e2e.instance import make_key, running_instance
from tests.e2e.neighbours.inputs import INPUTS, Input, Sender
from tests.e2e.neighbours.pace import p95
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

RUNS = 200
MOST_SECONDS = 0.1
WARM_SECONDS = 2.0


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An instance whose front and worker have their usual numbers of threads."""
    folder, threads = tmp_path_factory.mktemp("neighbours"), ("--threads", "8")
    with running_instance(folder, *threads, WEB_THREADS="32") as stack:
        yield stack


@pytest.fixture(scope="module")
def neighbour(instance: Stack) -> Sender:
    """The user whose workflows are measured."""
    return Sender(instance.profile.url, make_key(instance.profile, "neighbour@example.com"))


@pytest.fixture(scope="module")
def alone(neighbour: Sender) -> float:
    """The neighbour's p95 while nobody else sends anything, in seconds."""
    p95(neighbour, RUNS // 4)
    return p95(neighbour, RUNS)


@pytest.mark.parametrize("name", INPUTS)
def test_a_neighbours_workflows_are_not_held_up(
    instance: Stack, neighbour: Sender, alone: float, name: str
) -> None:
    given = INPUTS[name]
    given.prepare(Sender(instance.profile.url, instance.key))
    with _sent(instance, given) as answered:
        time.sleep(WARM_SECONDS)
        beside = p95(neighbour, RUNS)
    assert answered, "the input was never answered"
    print(f"{name}: p95 {beside * 1000:.0f} ms, alone {alone * 1000:.0f} ms")
    assert beside <= max(2 * alone, MOST_SECONDS)


@contextmanager
def _sent(instance: Stack, given: Input) -> Iterator[list[float]]:
    """Send the input again and again by its threads; the times at which it was answered."""
    sender_key = make_key(instance.profile, "eve@example.com")
    stopping = threading.Event()
    answered: list[float] = []
    given.begin(Sender(instance.profile.url, sender_key))

    def send() -> None:
        sender = Sender(instance.profile.url, sender_key)
        while not stopping.is_set():
            try:
                given.send(sender)
            except requests.RequestException:
                time.sleep(0.1)
            else:
                answered.append(time.monotonic())

    threads = [threading.Thread(target=send) for _ in range(given.threads)]
    for each in threads:
        each.start()
    try:
        yield answered
    finally:
        stopping.set()
        for each in threads:
            each.join(180)
