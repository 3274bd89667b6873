"""Budgets while many workers, reconcilers and people act at once."""

import random
from collections import Counter
from collections.abc import Callable

import pytest

from chains.commands.command import caller_of
from chains.commands.fork import fork
from tests.integration.conftest import Kernel, Threads
from tests.integration.properties import observed
from tests.integration.properties.budgets.money import (
    WAITING,
    all_agree,
    attempt,
    carry,
    child,
    usd,
    wide,
)
from tests.integration.properties.samples import job, pay
from tests.integration.properties.world import World
from tests.invariants import holds
from tests.unit.definitions import noop


def tangle(observing: Kernel, in_threads: Threads, seed: int) -> Counter[str]:
    """Workers in parallel over a root with children, some with a budget, and a fork of it."""
    dice = random.Random(seed)
    world = World(observing)
    leaf = observing.register(wide(pay("x"), job("y")))
    poor = observing.register(wide(pay("x"), pay("z")), **usd(dice.choice([7, 10, 17, 25])))
    branches = [pay("a"), job("b"), pay("c")]
    branches += [child(f"leaf{n}", leaf, on_failure="skip") for n in range(2)]
    branches += [child(f"poor{n}", poor, on_failure="skip") for n in range(2)]
    node = {"sequence": [noop("first"), pay("begin"), wide(*branches)]}
    amount = dice.choice([30, 60, 90, 200])
    root = observing.start(observing.register(node, **usd(amount)))
    attempt(world, root, "first")
    forked = fork(caller_of(observing.user_id), root, from_step="begin", reason="twice").id

    def worker(number: int) -> Callable[[], None]:
        own = random.Random(f"{seed}/{number}")

        def run() -> None:
            for _ in range(8):
                due = world.due()
                if due:
                    step = own.choice(due)
                    claim = world.claim(step)
                    if claim is not None:
                        world.attempt(claim)
                for step in world.steps(WAITING):
                    if own.random() < 0.5:
                        world.deliver(step)
                if own.random() < 0.1:
                    world.cancel(own.choice(world.workflows()))
                world.look(own.choice((root, forked)))

        return run

    in_threads([worker(number) for number in range(4)])
    assert observed.overspent() == []
    carry(world)
    all_agree()
    return Counter(observing.workflow(each)["status"] for each in (root, forked))


@holds(19, 20, 21)
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_budget_is_overspent_at_any_commit_of_many_tangles(
    observing: Kernel, in_threads: Threads
) -> None:
    ended: Counter[str] = Counter()
    for seed in range(40):
        ended += tangle(observing, in_threads, seed)
    assert {"succeeded", "compensated"} <= set(ended), ended
