"""One thread calls for each name when it is due."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from chains.feeder import Feeder

PATIENCE_SECONDS = 10.0


class Calls:
    """What a feeder calls: it notes each call, and waits in it while it is held."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.changed = threading.Condition()
        self.may_return = threading.Event()
        self.may_return.set()

    def __call__(self, name: str) -> None:
        with self.changed:
            self.made.append(name)
            self.changed.notify_all()
        assert self.may_return.wait(PATIENCE_SECONDS)

    def await_made(self, expected: list[str]) -> None:
        """Wait until these calls were made, in this order."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.made) >= len(expected), PATIENCE_SECONDS)
            assert self.made == expected


@pytest.fixture
def calls() -> Calls:
    """A function that nothing holds."""
    return Calls()


@pytest.fixture
def feeder(calls: Calls) -> Iterator[Feeder]:
    """One that calls it."""
    made = Feeder(calls, "test")
    yield made
    calls.may_return.set()
    made.rest()


def test_who_wants_a_name_during_its_call_gets_one_more_call(feeder: Feeder, calls: Calls) -> None:
    calls.may_return.clear()
    feeder.want("a")
    calls.await_made(["a"])
    for _ in range(5):
        feeder.want("a")
    calls.may_return.set()
    calls.await_made(["a", "a"])
    feeder.want("b")
    calls.await_made(["a", "a", "b"])


def test_the_earlier_of_two_times_counts(feeder: Feeder, calls: Calls) -> None:
    feeder.want("late", 3600)
    feeder.want("a", 3600)
    feeder.want("a", 0.05)
    feeder.want("a", 3600)
    feeder.want("b")
    calls.await_made(["b", "a"])


def test_a_feeder_that_rests_forgets_what_was_wanted(feeder: Feeder, calls: Calls) -> None:
    feeder.want("a", 0.05)
    feeder.rest()
    feeder.want("b", 0.1)
    calls.await_made(["b"])


FORKING = """
import os
import threading

from chains.feeder import Feeder

called = threading.Event()
feeder = Feeder(lambda name: called.set(), "test")
feeder.want("a", 3600)
if not os.fork():
    feeder.want("a")
    os._exit(0 if called.wait(10) else 1)
assert os.wait()[1] == 0, "the child was not called"
assert not called.is_set()
"""


def test_a_forked_process_starts_its_own_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_rest_waits_for_the_call_that_runs(feeder: Feeder, calls: Calls) -> None:
    calls.may_return.clear()
    feeder.want("a")
    calls.await_made(["a"])
    threading.Timer(0.1, calls.may_return.set).start()
    began = time.monotonic()
    feeder.rest()
    assert calls.may_return.is_set()
    assert time.monotonic() - began < PATIENCE_SECONDS / 2
