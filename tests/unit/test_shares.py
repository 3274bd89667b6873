"""The share of a worker's time that one user's expressions may take."""

import heapq
import itertools
import multiprocessing
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from chains.running.shares import (
    BURST_SECONDS,
    HEAVY_SECONDS,
    HORIZON_SECONDS,
    Kind,
    Shares,
)
from chains.running.turns import Turns

USER = UUID(int=1)
STEP: Kind = (USER, "flood", 1, "a")
SHARES = st.sampled_from([0.05, 0.1, 0.25, 1.0])
COSTS = st.lists(st.sampled_from([0.0, 0.02, 0.42, 2.0]), min_size=1, max_size=120)


@dataclass
class Process:
    """A worker of one process: its time passes only by the steps that it runs."""

    shares: Shares
    free_at: float = 0.0
    heavy: list[tuple[float, float]] = field(default_factory=list)
    """When each heavy step that was asked began, and what it took."""
    promises: list[float] = field(default_factory=list)
    """The time that it has promised to each step that had to wait."""


@dataclass
class Flood:
    """Steps of one user that come to processes whose time is simulated."""

    processes: list[Process]
    chance: random.Random
    done_at: dict[int, float] = field(default_factory=dict)

    def run(self, arrivals: list[tuple[float, float]]) -> None:
        """Let steps come, given as (time, cost), until each has run."""
        waiting = [(at, number, False) for number, (at, _) in enumerate(arrivals)]
        heapq.heapify(waiting)
        while waiting:
            at, number, is_promised = heapq.heappop(waiting)
            process = self.chance.choice(self.processes)
            now = max(at, process.free_at)
            pause = self._pause(process, now, is_promised=is_promised)
            if pause is None:
                self._take(process, number, now, arrivals[number][1])
            else:
                assert len(process.promises) < 100 * len(arrivals), "steps starve"
                heapq.heappush(waiting, (now + pause, number, True))

    def _pause(self, process: Process, now: float, *, is_promised: bool) -> float | None:
        if not process.shares.is_asked(STEP, now):
            return None
        fraction = self.chance.random()
        pause = process.shares.pause(STEP, now, fraction, is_promised=is_promised)
        if pause is not None:
            assert 0 < pause <= 2 * HORIZON_SECONDS
            process.promises.append(now + pause)
        return pause

    def _take(self, process: Process, number: int, now: float, cost: float) -> None:
        was_asked = process.shares.is_asked(STEP, now)
        process.free_at = now + cost
        process.shares.use(STEP, cost, process.free_at)
        self.done_at[number] = process.free_at
        if was_asked and cost >= HEAVY_SECONDS:
            process.heavy.append((now, cost))


@given(SHARES, COSTS, st.sampled_from([0.0, 0.01, 0.5]), st.integers(0, 9))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_no_window_has_more_than_the_share_and_the_burst(
    share: float, costs: list[float], gap: float, seed: int
) -> None:
    process = Process(Shares(share))
    flood = Flood([process], random.Random(seed))
    flood.run([(gap * number, cost) for number, cost in enumerate(costs)])
    for first, (opens, _) in enumerate(process.heavy):
        used = 0.0
        for begins, cost in process.heavy[first:]:
            used += cost
            assert used <= share * (begins - opens) + BURST_SECONDS + cost + 1e-6


@given(SHARES, st.integers(1, 4), st.integers(0, 9))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_each_step_of_a_flood_runs_once_and_was_promised_a_time_of_its_own(
    share: float, count: int, seed: int
) -> None:
    steps, cost = 400, 0.42
    flood = Flood([Process(Shares(share)) for _ in range(count)], random.Random(seed))
    flood.run([(number / 50, cost) for number in range(steps)])
    assert len(flood.done_at) == steps
    for process in flood.processes:
        assert len(set(process.promises)) == len(process.promises)
    # All of the share is given while steps wait for it, but for what chance leaves idle.
    assert max(flood.done_at.values()) < 2 * steps * cost / (share * count) + 3 * HORIZON_SECONDS


def test_many_cheap_steps_do_not_open_the_way_for_heavy_ones() -> None:
    process = Process(Shares(0.1))
    costs = [0.42] + [0.011] * 100 + [0.42] * 100
    Flood([process], random.Random(1)).run([(0.0, cost) for cost in costs])
    for begins, _ in process.heavy:
        within = [cost for began, cost in process.heavy if begins <= began < begins + 30]
        assert sum(within) <= 0.1 * 30 + BURST_SECONDS + 2 * 0.42


def test_with_a_share_of_all_no_step_of_one_slot_waits() -> None:
    flood = Flood([Process(Shares(1.0))], random.Random(1))
    flood.run([(0.0, 2.0)] * 100)
    assert flood.processes[0].promises == []


def test_light_steps_are_never_asked_and_not_kept() -> None:
    shares = Shares(0.1)
    for number in range(1000):
        shares.use((USER, "light", 1, str(number)), HEAVY_SECONDS / 2, 0.0)
    assert not shares._costs
    for _ in range(5):
        shares.use(STEP, 0.42, 0.0)
    light: Kind = (USER, "light", 1, "b")
    assert shares.is_asked(light, 0.0), "it is not known, and its user has no time left"
    wait = shares.pause(light, 0.0, 0.0, is_promised=False)
    assert wait == shares.pause(light, 0.0, 0.0, is_promised=False), "it is promised nothing"
    shares.use(light, 0.0, 0.0)
    assert not shares.is_asked(light, 0.0)
    assert not shares.is_asked((uuid4(), *STEP[1:]), 0.0), "another user's is free"
    assert shares.is_asked(STEP, 0.0)


def test_steps_that_wait_for_another_one_come_one_after_the_other() -> None:
    shares = Shares(0.1)
    shares.use(STEP, 0.1, 0.0)
    times = [shares.promise(STEP, 0.0, 0.0) for _ in range(5)]
    assert times[0] >= 0.1
    assert all(later - sooner > 0.9 for sooner, later in itertools.pairwise(times))


def test_the_books_stay_small() -> None:
    shares = Shares(0.1)
    for number in range(12_000):
        shares.use((UUID(int=number), "flood", 1, "a"), 0.42, number * 0.001)
    assert len(shares._costs) <= 10_000


def test_the_processes_of_a_worker_have_the_same_accounts() -> None:
    shares = Shares(0.1)
    other = multiprocessing.get_context("fork").Process(target=shares.use, args=(STEP, 2.0, 5.0))
    assert not shares.is_asked(STEP, 5.0)
    other.start()
    other.join(10)
    assert shares.is_asked(STEP, 5.0), "its user has no time left"
    assert shares.pause(STEP, 5.0, 0.0, is_promised=False) == 15.5
    assert not shares.is_asked(STEP, 5.0 + 18.0)


def test_one_turn_of_a_user_is_taken_at_a_time_by_threads_and_processes() -> None:
    turns = Turns()
    forked = multiprocessing.get_context("fork")

    def is_free(user: UUID) -> bool:
        with turns.taken(user) as was_free:
            return was_free

    def tell(answer: Callable[[bool], None]) -> None:
        answer(is_free(USER))

    def is_free_elsewhere() -> bool:
        reader, writer = forked.Pipe()
        process = forked.Process(target=tell, args=(writer.send,))
        process.start()
        process.join(10)
        return bool(reader.recv())

    with turns.taken(USER) as was_free:
        assert was_free
        assert not is_free(USER)
        assert not is_free_elsewhere()
        assert is_free(uuid4())
    assert is_free_elsewhere()
    assert is_free(USER)
