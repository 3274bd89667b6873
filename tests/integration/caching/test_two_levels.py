"""A value is made once for all processes, and Valkey may go away at any time."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
import redis

from app import caching
from app.caching import MOST_BYTES, Cache, key_of
from app.caching.use import use
from ops.laptop.ports import Port, free_port
from ops.laptop.supervisor import Supervisor
from ops.laptop.valkey import Valkey
from tests.forked import forked
from tests.integration.caching.filling import KEY, ask, cache

Counts = Counter[tuple[str, str]]


@pytest.fixture
def counts() -> Iterator[Counts]:
    """How often each level has answered how."""
    yield Counter()
    caching.forget()


def share(redis_url: str, counts: Counts) -> None:
    caching.share(redis_url, lambda _, level, outcome: counts.update([(level, outcome)]))


class Maker:
    """Makes values, and counts them."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.made, self._seconds = 0, seconds

    def __call__(self) -> dict[str, Any]:
        self.made += 1
        time.sleep(self._seconds)
        return {"number": self.made}


@pytest.mark.parametrize("processes", [4, pytest.param(20, marks=pytest.mark.long)])
def test_of_processes_that_miss_a_key_at_once_one_makes_it(
    processes: int, valkey_url: str, tmp_path: Path
) -> None:
    made, begin = tmp_path / "made", time.time() + 2 + processes / 4
    with ThreadPoolExecutor(processes) as pool:
        asked = [pool.submit(forked, ask, valkey_url, begin, str(made)) for _ in range(processes)]
        said = [each.result() for each in asked]
    assert [each.stdout for each in said] == ["7,EUR"] * processes, said[0].stderr
    assert made.read_text().splitlines() == ["made"]


def test_threads_make_a_value_once_with_and_without_valkey(valkey_url: str, counts: Counts) -> None:
    for redis_url in (None, valkey_url):
        if redis_url is not None:
            share(redis_url, counts)
        maker, own = Maker(0.1), cache()
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: own.get(KEY, maker), range(8)))  # noqa: B023
        assert (found, maker.made) == ([{"number": 1}] * 8, 1)
    assert counts["process", "wait"] == 7


def test_another_process_reads_what_was_made_and_keeps_it(valkey_url: str, counts: Counts) -> None:
    share(valkey_url, counts)
    maker, one, other = Maker(), cache(), cache()
    assert one.get(KEY, maker) == other.get(KEY, maker) == other.get(KEY, maker) == {"number": 1}
    assert counts == {("valkey", "miss"): 1, ("valkey", "hit"): 1, ("process", "hit"): 1}
    with redis.Redis.from_url(valkey_url) as client:
        (key,) = client.keys("*")
        assert 0 < client.pttl(key) <= 60_000


def test_values_of_other_keys_and_caches_stay_apart(valkey_url: str, counts: Counts) -> None:
    share(valkey_url, counts)
    maker = Maker()
    other = Cache("other", seconds=60, own_seconds=60)
    found = [
        cache().get(key_of("ada", "x"), maker),
        cache().get(key_of("bob", "x"), maker),
        other.get(key_of("ada", "x"), maker),
    ]
    assert [each["number"] for each in found] == [1, 2, 3]


def test_a_change_of_a_value_that_was_read_changes_no_other_reading(counts: Counts) -> None:
    own, maker = cache(), Maker()
    own.get(KEY, maker)["number"] = 7
    assert own.get(KEY, maker) == {"number": 1}


def test_a_failure_is_not_kept_and_whoever_waits_makes_the_value(
    valkey_url: str, counts: Counts
) -> None:
    share(valkey_url, counts)
    one, other, has_begun = cache(), cache(), Event()

    def fail() -> None:
        has_begun.set()
        time.sleep(0.1)
        raise ValueError("the vendor refuses")

    with ThreadPoolExecutor(1) as pool:
        failing = pool.submit(one.get, KEY, fail)
        assert has_begun.wait(5)
        assert other.get(KEY, Maker()) == {"number": 1}
        with pytest.raises(ValueError, match="refuses"):
            failing.result()
    assert one.get(KEY, Maker(9)) == {"number": 1}


def test_a_maker_that_has_died_keeps_others_no_longer_than_its_right(
    valkey_url: str, counts: Counts
) -> None:
    share(valkey_url, counts)
    assert use.shared is not None
    own = Cache("test", seconds=60, own_seconds=60, wait_seconds=5)
    assert use.shared.take(f"test:{KEY}", "the dead", 0.2) == ("make", None)
    began = time.monotonic()
    assert own.get(KEY, Maker()) == {"number": 1}
    assert time.monotonic() - began >= 0.15
    use.shared.leave(f"test:{KEY}", "the dead")
    assert use.shared.take(f"test:{KEY}", "another", 1)[0] == "hit"


def test_a_wait_is_bounded_and_then_the_value_is_made_once_more(
    valkey_url: str, counts: Counts
) -> None:
    share(valkey_url, counts)
    assert use.shared is not None
    use.shared.take(f"test:{KEY}", "the slow", 30)
    own = Cache("test", seconds=60, own_seconds=60, wait_seconds=0.1)
    assert own.get(KEY, Maker()) == {"number": 1}
    assert counts["valkey", "late"] == 1
    use.shared.keep(f"test:{KEY}", "the slow", '{"number":5}', 60)
    assert cache().get(KEY, Maker()) == {"number": 5}


def test_a_large_value_is_made_each_time_and_does_not_fill_valkey(
    valkey_url: str, counts: Counts
) -> None:
    share(valkey_url, counts)
    own, made = cache(), []

    def make() -> str:
        made.append(1)
        return "x" * MOST_BYTES

    assert len(own.get(KEY, make)) == len(own.get(KEY, make)) == MOST_BYTES
    assert (len(made), counts["process", "large"]) == (2, 2)
    with redis.Redis.from_url(valkey_url) as client:
        assert client.keys("*") == []


def test_what_a_process_keeps_is_bounded() -> None:
    own = cache()
    for number in range(200):
        own.get(key_of(number), lambda: "x" * (MOST_BYTES - 2))
    maker = Maker()
    assert isinstance(own.get(key_of(199), maker), str)
    assert own.get(key_of(0), maker) == {"number": 1}


def test_valkey_is_killed_in_the_middle_and_the_caches_go_on(
    tmp_path: Path, counts: Counts
) -> None:
    server = Valkey(tmp_path, Port(free_port(), "valkey", "none"), "secret")
    one, other, maker = cache(), cache(), Maker()
    with Supervisor([server.service(tmp_path / "valkey.log")]):
        share(server.url(), counts)
        one.get(KEY, maker)
    assert one.get(KEY, maker) == {"number": 1}
    assert other.get(KEY, maker) == other.get(KEY, maker) == {"number": 2}
    assert counts["valkey", "away"] == 1
    with Supervisor([server.service(tmp_path / "valkey.log")]):
        caching.forget()
        share(server.url(), counts)
        assert cache().get(KEY, maker) == {"number": 3}
        assert cache().get(KEY, maker) == {"number": 3}


@pytest.mark.parametrize("is_large", [True, False])
def test_threads_share_what_cannot_be_kept(counts: Counts, is_large: bool) -> None:
    own, maker, begin = cache(), Maker(0.2), Barrier(8)

    def make() -> str:
        maker()
        if is_large:
            return "x" * MOST_BYTES
        raise ValueError("the vendor refuses")

    def get(_: int) -> int:
        begin.wait(5)
        try:
            return len(own.get(KEY, make))
        except ValueError:
            return -1

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(get, range(8)))
    assert (found, maker.made) == ([MOST_BYTES if is_large else -1] * 8, 1)


def test_the_age_of_a_value_counts_from_the_start_of_its_making(
    valkey_url: str, counts: Counts
) -> None:
    share(valkey_url, counts)
    own, maker = Cache("short", seconds=0.1, own_seconds=0.1), Maker(0.15)
    assert [own.get(KEY, maker)["number"] for _ in range(2)] == [1, 2]


def test_who_asks_later_than_a_value_may_be_old_waits_for_no_earlier_making() -> None:
    own, has_begun, goes_on = Cache("short", seconds=0, own_seconds=0.05), Event(), Event()

    def slow() -> str:
        has_begun.set()
        assert goes_on.wait(5)
        return "old"

    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(own.get, KEY, slow)
        assert has_begun.wait(5)
        time.sleep(0.06)
        assert own.get(KEY, lambda: "new") == "new"
        goes_on.set()
        assert making.result() == "old"


def test_a_maker_whose_right_has_ended_keeps_nothing(valkey_url: str, counts: Counts) -> None:
    share(valkey_url, counts)
    assert use.shared is not None
    place = f"test:{KEY}"
    assert use.shared.take(place, "the slow", 30)[0] == "make"
    use.shared.leave(place, "the slow")
    assert use.shared.take(place, "the next", 30)[0] == "make"
    use.shared.keep(place, "the slow", '{"number":5}', 60)
    assert use.shared.take(place, "another", 30) == ("wait", None)
    use.shared.keep(place, "the next", '{"number":6}', 60)
    assert use.shared.take(place, "another", 30) == ("hit", '{"number":6}')


@pytest.mark.parametrize("broken", [b"{", b"\xff\xfe"])
def test_what_cannot_be_read_is_made(valkey_url: str, counts: Counts, broken: bytes) -> None:
    share(valkey_url, counts)
    with redis.Redis.from_url(valkey_url) as client:
        client.set(f"playalter:cache:test:{KEY}", broken, px=60_000)
    assert cache().get(KEY, Maker()) == {"number": 1}
