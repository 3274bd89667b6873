"""Processes and servers that die in the middle of campaigns: each effect is still made once."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

import pytest

from tests.e2e.campaign import Campaign, Customer
from tests.e2e.stack import PLATFORMS, Json, Stack, until

TWENTY = 20
WINDOW = 8
EVERYTHING = ("postgres", "valkey", "sandbox", "web", "reconciler", "worker")


def once(predictions: int) -> dict[str, int]:
    """The paid effects of a campaign that succeeded."""
    return {
        "authorizations": 1, "captures": 1, "refunds": 0, "predictions": predictions,
        "deployments": 1,
    }  # fmt: skip


@pytest.mark.long  # the short chaos run kills workers and empties the broker each day
@pytest.mark.timeout(300)
def test_killed_workers_and_a_broker_emptied_and_killed_double_nothing_in_twenty_photographs(
    stack: Stack, customer: Customer
) -> None:
    stack.change(replicate__duration_seconds=2.5)
    restarts = {name: stack.restarts(name) for name in ("worker", "valkey")}
    held = stack.fault("replicate", "predictions.create", "slow", seconds=3)
    campaign = customer.start(TWENTY)
    _meet(held, campaign)
    campaign.settled_but(1)
    child = until("a busy child", lambda: stack.busy_children(campaign.id), 10, campaign.dump)[0]
    os.kill(child, signal.SIGKILL)
    held = stack.fault("replicate", "predictions.create", "slow", seconds=3)
    _meet(held, campaign)
    campaign.settled_but(1)
    stack.kill("worker")
    campaign.until("predictions under way", campaign.in_status("waiting"))
    stack.flush_valkey()
    campaign.until("the first pictures", campaign.in_status("succeeded"))
    stack.kill("valkey")
    campaign.ended("succeeded", seconds=150.0)
    assert campaign.paid() == once(TWENTY), campaign.dump()
    assert campaign.counts()["notifications"] == 1
    for name, before in restarts.items():
        assert stack.restarts(name) > before
    lost = [event for event in campaign.events() if event["type"] == "StepOutcomeUnknown"]
    assert lost, "no call was under way when its worker was killed"


def test_postgresql_restarted_and_killed_under_paid_calls_doubles_nothing(
    stack: Stack, customer: Customer
) -> None:
    prediction = stack.fault("replicate", "predictions.create", "slow", seconds=1.5)
    capture = stack.fault("stripe", "payment_intents.capture", "slow", seconds=1.5)
    campaign = customer.start(4)
    _meet(prediction, campaign)
    campaign.settled_but(1)
    stack.core.restart("postgres")
    _meet(capture, campaign)
    stack.kill("postgres")
    stack.await_ready("postgres")
    campaign.ended("succeeded", seconds=90.0)
    assert campaign.paid() == once(4), campaign.dump()


@pytest.mark.timeout(240)
def test_a_worker_stopped_past_its_lease_in_a_paid_call_and_continued_doubles_nothing(
    stack: Stack, customer: Customer
) -> None:
    stack.change(replicate__hold=True)
    both = (stack.worker_of(name, *PLATFORMS, processes=2) for name in ("first", "second"))
    with stack.other_workers(*both):
        # The sandbox finishes what it has begun while the caller is stopped.
        prediction = stack.fault("replicate", "predictions.create", "slow", seconds=2)
        capture = stack.fault("stripe", "payment_intents.capture", "slow", seconds=2)
        campaign = customer.start(1)
        for held, step in ((prediction, "swap[0].render"), (capture, "capture")):
            _meet(held, campaign)
            with _stopped(stack, campaign):
                _taken_over(campaign, step)
            # Only then may the next call begin: the worker to stop is the only busy one.
            idle = until("idle workers", lambda: not stack.busy_children(campaign.id), 20.0)
            assert idle
            stack.change(replicate__hold=False)
        campaign.ended("succeeded")
    for step in ("swap[0].render", "capture"):
        assert campaign.kinds(step)[0] == "StepOutcomeUnknown", campaign.dump()
        assert campaign.kinds(step).count("StepSucceeded") == 1
    assert campaign.paid() == once(1), campaign.dump()


def test_what_a_killed_worker_had_captured_is_refunded_when_the_campaign_is_cancelled(
    stack: Stack, customer: Customer
) -> None:
    held = stack.fault("stripe", "payment_intents.capture", "slow", seconds=2)
    campaign = customer.start(1)
    _meet(held, campaign)
    child = until("a busy child", lambda: stack.busy_children(campaign.id), 10, campaign.dump)[0]
    os.kill(child, signal.SIGKILL)
    assert campaign.cancel() == HTTPStatus.ACCEPTED
    campaign.ended("compensated")
    counts = campaign.counts()
    assert (counts["captures"], counts["refunds"]) == (1, 1), campaign.dump()


@pytest.mark.timeout(240)
def test_everything_killed_at_once_and_started_again_goes_on_where_it_was(
    stack: Stack, customer: Customer
) -> None:
    stack.change(replicate__hold=True)
    campaign = customer.start(WINDOW)
    campaign.until("all predictions under way", lambda steps: _count(steps, "waiting") == WINDOW)
    stack.kill("reconciler")
    stack.control("POST", "/replicate/release", {"count": 3})
    campaign.until("the first picture", campaign.in_status("succeeded"))
    stack.kill(*EVERYTHING)
    stack.await_ready(*EVERYTHING)
    stack.change(replicate__hold=False)
    campaign.ended("succeeded", seconds=90.0)
    assert campaign.paid() == once(WINDOW), campaign.dump()
    assert campaign.counts()["notifications"] == 1


def _count(steps: Json, status: str) -> int:
    return sum(step["status"] == status for step in steps.values())


def _meet(hits: Callable[[], int], campaign: Campaign) -> None:
    """Wait until the fault has hit."""
    until("a call held by the sandbox", hits, 60.0, campaign.dump)


@contextmanager
def _stopped(stack: Stack, campaign: Campaign) -> Iterator[None]:
    """Stop the worker that has a message of the campaign in hand for the block."""
    child = until("a busy child", lambda: stack.busy_children(campaign.id), 10, campaign.dump)[0]
    group = os.getpgid(child)
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def _taken_over(campaign: Campaign, step: str) -> None:
    """Wait until somebody else has found what became of the call."""
    done = ("waiting", "succeeded")
    campaign.until(
        f"{step} taken over",
        lambda steps: (
            steps[step]["status"] in done and "StepOutcomeUnknown" in campaign.kinds(step)
        ),
        seconds=40.0,
    )
