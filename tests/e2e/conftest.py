"""What the tests of either instance ask for; each folder has an instance of its own."""

from collections.abc import Iterator

import pytest

from tests.e2e.campaign import Customer
from tests.e2e.instance import received_events
from tests.e2e.stack import CORE, Json, Stack


@pytest.fixture
def stack(instance: Stack) -> Iterator[Stack]:
    """The instance without faults for the test, and all of it up when the test ends."""
    instance.calm()
    yield instance
    instance.await_ready(*(name for name in CORE if name != "migrate"))
    instance.calm()


@pytest.fixture(scope="module")
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
