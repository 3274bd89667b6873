"""Batches: alone at once, otherwise together, and each with its own result."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from app.batching import MOST_BYTES, MOST_ITEMS, Batches
from app.errors import Unavailable


class Work:
    """Doubles numbers. The first number waits until `go`; `done` are the numbers done together."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.done: list[list[int]] = []
        self.broken: Exception | None = None

    def one(self, number: int) -> int:
        """Refuses 13."""
        if not self.done:
            self.done.append([number])
            assert self.go.wait(20)
        else:
            self.done.append([number])
        if number == 13:
            raise ValueError("13")
        return 2 * number

    def many(self, numbers: Sequence[int]) -> list[int]:
        """Fails if 13 is among them."""
        self.done.append(list(numbers))
        if self.broken is not None:
            raise self.broken
        if 13 in numbers:
            raise ValueError("one of them")
        return [2 * number for number in numbers]


@contextmanager
def queued(work: Work, numbers: Sequence[int], size: int = 0) -> Iterator[list[Future[int]]]:
    """The first number is being done while the others are sent, in order; then all go on."""
    batches = Batches(work.one, work.many, patience_seconds=60.0)
    with ThreadPoolExecutor(len(numbers)) as pool:
        sent: list[Future[int]] = []
        for number in numbers:
            sent.append(pool.submit(batches.do, "key", number, size))
            _wait(lambda: work.done and len(batches._queues["key"]) == len(sent) - 1)
        # Another key does not wait for this one.
        assert batches.do("other", 100) == 200
        work.done.pop()
        work.go.set()
        yield sent
    assert not batches._queues


def _wait(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_what_comes_meanwhile_is_done_together() -> None:
    work = Work()
    with queued(work, [1, 2, 3, 4]) as sent:
        assert [each.result(20) for each in sent] == [2, 4, 6, 8]
    assert work.done == [[1], [2, 3, 4]]


def test_a_batch_is_bounded_in_items_and_bytes() -> None:
    work = Work()
    numbers = range(20, MOST_ITEMS + 23)
    with queued(work, numbers) as sent:
        assert [each.result(20) for each in sent] == [2 * number for number in numbers]
    assert [len(done) for done in work.done] == [1, MOST_ITEMS, 2]
    work = Work()
    with queued(work, [1, 2, 3, 4], size=MOST_BYTES // 2 - 1) as sent:
        assert [each.result(20) for each in sent] == [2, 4, 6, 8]
    assert work.done == [[1], [2, 3], [4]]


def test_if_a_batch_fails_each_item_is_done_alone() -> None:
    work = Work()
    with queued(work, [1, 12, 13, 14]) as sent:
        assert [each.result(20) for each in (sent[0], sent[1], sent[3])] == [2, 24, 28]
        with pytest.raises(ValueError, match="13"):
            sent[2].result(20)
    assert work.done[:2] == [[1], [12, 13, 14]]
    assert sorted(work.done[2:]) == [[12], [13], [14]]


def test_if_the_store_is_away_no_item_waits_for_it_again() -> None:
    work = Work()
    work.broken = Unavailable("away")
    with queued(work, [1, 2, 3]) as sent:
        assert sent[0].result(20) == 2
        for each in sent[1:]:
            with pytest.raises(Unavailable):
                each.result(20)
    assert work.done == [[1], [2, 3]]


def test_an_error_of_a_lone_item_lets_the_next_go_on() -> None:
    work = Work()
    with queued(work, [13, 2]) as sent:
        with pytest.raises(ValueError, match="13"):
            sent[0].result(20)
        assert sent[1].result(20) == 4
    assert work.done == [[13], [2]]


def test_an_item_that_is_held_up_holds_up_no_others_for_long() -> None:
    work = Work()
    batches = Batches(work.one, work.many, patience_seconds=0.05)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(batches.do, "key", 1)
        _wait(lambda: work.done)
        others = [pool.submit(batches.do, "key", number, MOST_BYTES) for number in (2, 3, 4)]
        try:
            assert sorted(each.result(20) for each in others) == [4, 6, 8]
            assert not first.done()
        finally:
            work.go.set()
        assert first.result(20) == 2
    assert not batches._queues
    assert not batches._under_way


def test_each_item_is_done_once_whatever_is_held_up_and_whatever_fails() -> None:
    done: Counter[int] = Counter()
    guard = threading.Lock()

    def one(number: int) -> int:
        if number % 10 == 0:
            time.sleep(0.003)
        with guard:
            done[number] += 1
        return 2 * number

    def many(numbers: Sequence[int]) -> list[int]:
        if any(number % 7 == 0 for number in numbers):
            raise ValueError("one of them")
        return [one(number) for number in numbers]

    batches = Batches(one, many, patience_seconds=0.001)

    def send(first: int) -> None:
        for number in range(first, 400, 8):
            size = MOST_BYTES if number % 3 == 0 else 0
            assert batches.do("key", number, size) == 2 * number

    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(send, first) for first in range(8)]:
            each.result(20)
    assert done == Counter(range(400))
    assert not batches._queues
    assert not batches._under_way
