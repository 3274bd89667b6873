"""The places in flight of a limit in Valkey are handed out in turns by user."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from app.outbound.http import Limit
from app.outbound.limits.core import UNUSED_MS, Answer, Ask, Note
from app.outbound.limits.stores import Shared

NOW = 1_800_000_000_000.0
TICK, PATIENCE, LAG = 100, 400, 700
"""Milliseconds: calls ask at these times, wait in place for so long, and steps are published so
much later than they were told."""


class Valkey:
    """A limit in Valkey, at a time that is set."""

    def __init__(self, url: str) -> None:
        self.now, self.platform, self.limit = NOW, str(uuid4()), Limit("jobs")
        self.shared = Shared(url, lambda: self.now)
        self.asked = 0

    def take(self, user: str, most_ms: float = 0.0) -> tuple[Ask, Answer]:
        """A call of a user that asks for a place."""
        self.asked += 1
        ask = Ask(str(uuid4()), most_ms=most_ms, hold_ms=600_000.0, user=user)
        return ask, self.shared.take(self.platform, [self.limit], ask)[0]

    def give_back(self, ask: Ask, answer: Answer) -> None:
        """The end of a call."""
        note = Note(ask.id, answer.now, answer.now + answer.wait)
        self.shared.note(self.platform, [self.limit], [note])

    def run(self, steps: list[tuple[int, str]], lasts: int, until: int) -> dict[str, int]:
        """How many calls of each user are made until then, for steps that are due at these times.
        Each call lasts for `lasts`. A refused step asks again when it was told."""
        due = [(at, user, at) for at, user in steps]
        running: list[tuple[float, Ask, Answer]] = []
        made = {user: 0 for _, user in steps}
        for tick in range(0, until, TICK):
            self.now = NOW + tick
            for each in [each for each in running if each[0] <= self.now]:
                running.remove(each)
                self.give_back(*each[1:])
            for each_due in sorted(each for each in due if each[0] <= tick):
                due.remove(each_due)
                _, user, began = each_due
                ask, answer = self.take(user, max(0, began + PATIENCE - tick))
                if answer.is_taken:
                    made[user] += 1
                    running.append((self.now + answer.wait + lasts, ask, answer))
                elif answer.wait <= ask.most_ms:
                    due.append((tick + int(answer.wait), user, began))
                else:
                    at = tick + int(answer.wait) + LAG
                    due.append((at, user, at))
        return made


@pytest.fixture
def jobs(valkey_url: str) -> Iterator[Valkey]:
    made = Valkey(valkey_url)
    yield made
    made.shared.close()


@pytest.mark.parametrize("more", [{"in_flight": 1}, {"in_flight": 2}, {"in_flight": 1, "burst": 9}])
def test_a_user_with_many_steps_does_not_keep_taking_the_places_that_become_free(
    jobs: Valkey, more: dict[str, int]
) -> None:
    """Ada has 60 steps and new ones all the time; Bob's 60 come a second later."""
    jobs.limit = Limit("jobs", requests=20.0 if "burst" in more else 0.0, **more)
    steps = [(0, "ada")] * 60 + [(at, "ada") for at in range(0, 60_000, 500)]
    made = jobs.run(steps + [(1000, "bob")] * 60, 2000, 60_000)
    assert made["bob"] >= 0.7 * made["ada"], made
    assert sum(made.values()) >= 0.9 * 30 * jobs.limit.in_flight, made


def test_many_users_share_few_places_and_all_of_them(jobs: Valkey) -> None:
    jobs.limit = Limit("jobs", in_flight=2)
    steps = [(at, "ada") for at in range(0, 60_000, 250)]
    made = jobs.run(steps + [(1000, f"user {n}") for n in range(9)] * 20, 500, 60_000)
    assert min(made.values()) >= 10, made
    assert sum(made.values()) >= 0.75 * 240, made


@pytest.mark.parametrize("limit", [{"in_flight": 5}, {"requests": 5.0}])
def test_users_that_come_at_once_with_a_call_each_are_told_times_one_after_another(
    jobs: Valkey, limit: dict[str, Any]
) -> None:
    jobs.limit = Limit("jobs", **limit)
    made = jobs.run([(0, f"user {n}") for n in range(100)], 1000, 24_000)
    assert sum(made.values()) >= 90, made


def test_users_that_wait_for_long_calls_do_not_ask_all_the_time(jobs: Valkey) -> None:
    jobs.limit = Limit("jobs", in_flight=5)
    made = jobs.run([(0, f"user {n}") for n in range(60)], 20_000, 80_000)
    assert sum(made.values()) >= 20, made
    assert jobs.asked <= 80 * 20


def test_a_place_for_which_nobody_comes_is_free_for_all_a_second_later(jobs: Valkey) -> None:
    jobs.limit = Limit("jobs", in_flight=1)
    taken = jobs.take("ada")
    for _ in range(3):
        assert not jobs.take("bob")[1].is_taken  # his workflow is then paused
        assert not jobs.take("ada")[1].is_taken
    for _ in range(3):
        jobs.now += 1000
        jobs.give_back(*taken)
        taken = jobs.take("ada")
        assert taken[1].is_taken
    jobs.now += 1000
    jobs.give_back(*taken)
    assert not jobs.take("ada")[1].is_taken
    jobs.now += UNUSED_MS
    assert jobs.take("ada")[1].is_taken


def test_users_whose_steps_never_come_hold_up_the_calls_of_others_for_a_second(
    jobs: Valkey,
) -> None:
    jobs.limit = Limit("jobs", in_flight=4)
    running = [jobs.take("ada") for _ in range(4)]
    for user in ["bob", "cyd", "dan", "eve"] * 20:
        assert not jobs.take(user)[1].is_taken  # their workflows are then paused
    made = 0
    for _ in range(60):
        jobs.now += 100
        for each in running[:1]:
            running.remove(each)
            jobs.give_back(*each)
        while (taken := jobs.take("ada"))[1].is_taken:
            running.append(taken)
            made += 1
    assert made >= 45


def test_turns_hold_nobody_up_while_there_are_places_for_all_that_wait(jobs: Valkey) -> None:
    jobs.limit = Limit("jobs", in_flight=4)
    running = [jobs.take("ada") for _ in range(4)]
    assert not jobs.take("bob")[1].is_taken
    jobs.now += 1000
    for each in running:
        jobs.give_back(*each)
    for _ in range(20):
        running = [jobs.take("ada") for _ in range(3)]
        assert [answer.wait for _, answer in running if answer.is_taken] == [0.0] * 3
        jobs.now += 50
        for each in running:
            jobs.give_back(*each)
