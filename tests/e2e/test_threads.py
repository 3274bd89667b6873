"""A worker of threads, for steps that wait: many in flight in one process, and as safe to kill."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ops.laptop.supervisor import Service
from tests.e2e.campaign import Customer
from tests.e2e.stack import Stack, until

THREADS = 24
CAMPAIGNS = 6


def of_threads(stack: Stack) -> Service:
    """The profile's worker with a pool of threads."""
    profiled = stack.worker()
    argv = (*profiled.argv, "--threads", str(THREADS))
    return replace(profiled, argv=argv, log=profiled.log.with_name("threads.log"))


@pytest.fixture
def threads(stack: Stack) -> Iterator[None]:
    """All steps are run by one worker of threads, started as on the command line."""
    with stack.other_workers(of_threads(stack)):
        yield


@pytest.mark.usefixtures("threads")
def test_calls_that_wait_at_a_vendor_are_in_flight_side_by_side(
    stack: Stack, customer: Customer
) -> None:
    held = stack.fault("stripe", "payment_intents.create", "slow", seconds=6, count=CAMPAIGNS)
    campaigns = [customer.start(1) for _ in range(CAMPAIGNS)]
    met = until("all calls at once", lambda: held() == CAMPAIGNS, 5.5, stack.dump)
    assert met
    for campaign in campaigns:
        campaign.ended("succeeded", seconds=60.0)
        assert campaign.paid() == {
            "authorizations": 1, "captures": 1, "refunds": 0, "predictions": 1, "deployments": 1,
        }  # fmt: skip


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("threads")
def test_a_killed_worker_of_threads_doubles_nothing(stack: Stack, customer: Customer) -> None:
    held = stack.fault("stripe", "payment_intents.capture", "slow", seconds=2, count=3)
    campaigns = [customer.start(2) for _ in range(3)]
    met = until("calls under way", lambda: held() or None, 60.0, stack.dump)
    assert met
    stack.kill("worker")
    for campaign in campaigns:
        campaign.ended("succeeded", seconds=120.0)
        assert campaign.paid() == {
            "authorizations": 1, "captures": 1, "refunds": 0, "predictions": 2, "deployments": 1,
        }  # fmt: skip
