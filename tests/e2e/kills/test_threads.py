"""A worker of threads, for steps that wait: many in flight in one process, and as safe to kill."""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ops.laptop.service import Service
from tests.e2e.campaign import Campaign, Customer
from tests.e2e.definitions import register, started
from tests.e2e.stack import Json, Stack, until

THREADS = 24
PAYMENTS = 6
FEW = 2


def pay(key: str) -> Json:
    return {
        "step": key,
        "action": "stripe.authorize",
        "with": {
            "customer_email": "ada@example.com",
            "payment_method": "pm_card_visa",
            "amount": 4900,
            "currency": "eur",
        },
    }


PAYMENT: Json = {"name": "one_payment", "do": pay("pay")}
"""What the tests of waiting calls start: a whole campaign would keep the machine busy for long."""
MANY: Json = {
    "name": "many_payments",
    "do": {"parallel": "all", "branches": [pay(f"pay_{n}") for n in range(PAYMENTS)]},
}

SLEEPS: Json = {
    "name": "three_sleeps",
    "do": {
        "sequence": [
            {"step": key, "action": "control.sleep", "with": {"seconds": 0.05}} for key in "abc"
        ]
    },
}


def of_threads(stack: Stack, threads: int = THREADS) -> Service:
    """The profile's worker with a pool of threads."""
    made = stack.worker("--threads", str(threads))
    return replace(made, log=made.log.with_name("threads.log"))


@pytest.fixture
def threads(stack: Stack) -> Iterator[None]:
    """All steps are run by one worker of threads, started as on the command line."""
    with stack.other_workers(of_threads(stack)):
        yield


def payments(stack: Stack, count: int) -> list[Campaign]:
    """Start workflows of one payment each."""
    register(stack, PAYMENT)
    return [Campaign(stack, started(stack, PAYMENT["name"], {})) for _ in range(count)]


@pytest.mark.usefixtures("threads")
def test_calls_that_wait_at_a_vendor_are_in_flight_side_by_side(stack: Stack) -> None:
    (warm,) = payments(stack, 1)
    warm.ended("succeeded", seconds=60.0)
    register(stack, MANY)
    # The bound is below the time that the vendor takes: no call has ended when the last one begins.
    held = stack.fault("stripe", "payment_intents.create", "slow", seconds=12, count=PAYMENTS)
    asked = Campaign(stack, started(stack, MANY["name"], {}))
    met = until("all calls at once", lambda: held() == PAYMENTS, 11.5, stack.dump)
    assert met
    asked.ended("succeeded", seconds=60.0)
    assert asked.counts()["authorizations"] == PAYMENTS


@pytest.mark.usefixtures("threads")
def test_a_chain_of_slow_steps_takes_one_message(stack: Stack) -> None:
    # Before, each slow step had a message of its own, although other threads were free.
    register(stack, SLEEPS)
    warm = Campaign(stack, started(stack, SLEEPS["name"], {}))
    warm.ended("succeeded", seconds=30.0)
    before = stack.pushed()
    asked = Campaign(stack, started(stack, SLEEPS["name"], {}))
    asked.ended("succeeded", seconds=30.0)
    assert stack.pushed() - before == 1


@pytest.mark.long  # the short chaos run kills such workers each day
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


@contextlib.contextmanager
def no_reconciler(stack: Stack) -> Iterator[None]:
    """Within the block no step is published again."""
    pid = stack.pid("reconciler")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.timeout(240)
def test_a_worker_that_is_asked_to_stop_gives_back_what_it_has_not_begun(stack: Stack) -> None:
    few = of_threads(stack, FEW)
    # Calls that an earlier test has slowed down have opened the circuit, which Valkey knows.
    stack.flush_valkey()
    with stack.other_workers(few), no_reconciler(stack):
        held = stack.fault("stripe", "payment_intents.create", "slow", seconds=2, count=8)
        begun = payments(stack, 8)
        met = until("calls under way", lambda: held() == FEW, 30.0, stack.dump)
        assert met
        os.kill(stack.pid("worker"), signal.SIGTERM)
        has_ended = until("its end", lambda: stack.restarts("worker") > 0, 25.0, stack.dump)
        assert has_ended
        assert held() == FEW, "what it had fetched was begun"
        text = few.log.read_text()
        assert "step.handed_back" in text
        assert "Unrecoverable" not in text
        assert "Traceback" not in text
        for each in begun:
            each.ended("succeeded", seconds=90.0)
            assert each.counts()["authorizations"] == 1
