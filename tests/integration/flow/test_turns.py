"""Users take turns, however many lanes the keys of their limits make, and then the keys of each."""

import random
from collections import Counter
from uuid import UUID

import pytest

from app import db
from tests.integration.conftest import Kernel
from tests.integration.flow.samples import accepted, controlled, count, end, taken
from tests.integration.starting.test_admission import another_user

KEYED = {"limit": 3, "key": "input.site"}


def of_users(workflows: list[UUID]) -> Counter[UUID]:
    """How many of the workflows are of which user."""
    rows = db.rows("SELECT user_id FROM workflows WHERE id = ANY (%s)", (workflows,))
    return Counter(row["user_id"] for row in rows)


def sites(workflows: list[UUID]) -> Counter[str]:
    """How many of the workflows have which key."""
    rows = db.rows(
        "SELECT input ->> 'site' AS site FROM workflows WHERE id = ANY (%s)", (workflows,)
    )
    return Counter(row["site"] for row in rows)


def served(starts: int, most: int = 50) -> list[UUID]:
    """Admit what is free, end it, and so on, until so many or more have started; in order."""
    found: list[UUID] = []
    while len(found) < starts:
        now = taken(most)
        assert now
        end(now)
        found += now
    return found


def waits(kernel: Kernel, name: str, keys: int, each: int, prefix: str = "") -> None:
    """Accept so many starts of each of so many keys."""
    for key in range(keys):
        accepted(kernel, name, each, {"site": f"{prefix}{key}"})


def test_a_user_of_many_keys_takes_turns_with_a_user_of_one(kernel: Kernel) -> None:
    bo = another_user(kernel, "bo")
    name = controlled(kernel, concurrency=[KEYED, {"limit": 2}])
    waits(kernel, name, 60, 2)
    waits(bo, name, 1, 60)
    assert 28 <= of_users(served(60))[bo.user_id] <= 32


def test_the_keys_of_a_user_take_turns(kernel: Kernel) -> None:
    name = controlled(kernel, concurrency=[KEYED, {"limit": 1}])
    waits(kernel, name, 5, 10)
    assert all(3 <= number <= 5 for number in sites(served(20)).values())


def test_a_new_key_for_each_start_gives_no_turn_of_others(kernel: Kernel) -> None:
    bo = another_user(kernel, "bo")
    name = controlled(kernel, concurrency=[KEYED, {"limit": 1}])
    waits(bo, name, 1, 60)
    found: list[UUID] = []
    for number in range(40):
        accepted(kernel, name, 1, {"site": f"new {number}"})
        found += served(1)
    assert 18 <= of_users(found)[bo.user_id] <= 22


def test_keys_that_are_cancelled_keep_the_last_one_waiting_for_nothing(kernel: Kernel) -> None:
    bo = another_user(kernel, "bo")
    name = controlled(kernel, concurrency=[KEYED, {"limit": 1}])
    (held,) = accepted(kernel, name, 1, {"site": "held"})
    assert taken() == [held]
    gone = [accepted(kernel, name, 1, {"site": f"{number}"})[0] for number in range(50)]
    accepted(kernel, name, 20, {"site": "last"})
    waits(bo, name, 1, 60)
    end(gone)
    end([held])
    assert 8 <= of_users(served(20))[kernel.user_id] <= 12


def test_keys_whose_own_limit_is_full_keep_the_others_waiting_for_nothing(kernel: Kernel) -> None:
    bo = another_user(kernel, "bo")
    name = controlled(kernel, concurrency=[{"limit": 1, "key": "input.site"}, {"limit": 42}])
    waits(kernel, name, 40, 3)
    assert len(taken()) == 40
    for each in range(3):
        accepted(kernel, name, 20, {"site": f"free {each}"})
    waits(bo, name, 3, 20, "of bo ")
    # Two places are left, and all of the lanes that can use them can use one.
    assert 13 <= of_users(served(30))[bo.user_id] <= 17


def share_evenly(kernel: Kernel, seed: int) -> None:
    """Let users with random numbers of keys wait for one limit, and end what runs at random."""
    draw = random.Random(seed)
    most = draw.randint(1, 6)
    each = draw.randint(1, 3)
    name = controlled(kernel, concurrency=[{"limit": each, "key": "input.site"}, {"limit": most}])
    users = [kernel, *(another_user(kernel, f"u{n}") for n in range(draw.randint(1, 3)))]
    starts = 60 * len(users)
    # With fewer keys, its own limit would keep a user from its share.
    least = -(-most // each)
    keys = {user.user_id: draw.choice([least, least + 1, 7, 30]) for user in users}
    for user in draw.sample(users, len(users)):
        number = keys[user.user_id]
        waits(user, name, number, -(-starts // number), f"{user.user_id}")
    running: list[UUID] = []
    found: list[UUID] = []
    batch = draw.choice([3, 20, 100])
    while len(found) < starts:
        now = taken(batch)
        running, found = running + now, found + now
        ended = [one for one in running if draw.random() < 0.5]
        end(ended)
        running = [one for one in running if one not in set(ended)]
    shares = of_users(found)
    assert all(abs(shares[user.user_id] - 60) <= 12 for user in users), (keys, shares)
    # Nothing is left behind.
    end(running)
    while rest := taken():
        end(rest)
    assert (count("flow_entries"), count("flow_lanes", "is_open")) == (0, 0)


@pytest.mark.parametrize("seed", range(2))
def test_users_with_any_numbers_of_keys_share_evenly(kernel: Kernel, seed: int) -> None:
    share_evenly(kernel, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 40))
def test_users_share_evenly_in_many_other_cases(kernel: Kernel, seed: int) -> None:
    share_evenly(kernel, seed)
