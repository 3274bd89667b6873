"""The places for decoding are shared fairly, and nobody waits for one without an end."""

import threading
import time
from contextlib import ExitStack

import pytest

from app.errors import Unavailable
from app.files.decoders import Decoders, Turn


class Queue:
    """Turns that wait in threads, in the order of their arrival, and the order of their ends."""

    def __init__(self, decoders: Decoders) -> None:
        self.served: list[str] = []
        self._decoders = decoders
        self._threads: list[threading.Thread] = []

    def add(self, owner: str) -> None:
        """One more turn, which waits when this returns."""
        before = len(self._decoders._waiting)
        self._threads.append(threading.Thread(target=self._decode, args=(owner,)))
        self._threads[-1].start()
        until = time.monotonic() + 5
        while len(self._decoders._waiting) == before and time.monotonic() < until:
            time.sleep(0.001)

    def _decode(self, owner: str) -> None:
        with self._decoders.one(Turn(owner, seconds=10)):
            self.served.append(owner)

    def end(self) -> list[str]:
        """The owners in the order in which they were served."""
        for thread in self._threads:
            thread.join(10)
        return self.served


def test_the_next_place_goes_to_the_owner_who_holds_the_fewest() -> None:
    decoders = Decoders(2)
    queue = Queue(decoders)
    with decoders.one(Turn("greedy")):
        with decoders.one(Turn("greedy")):
            for owner in ("greedy", "greedy", "greedy", "modest"):
                queue.add(owner)
        assert queue.end() == ["modest", "greedy", "greedy", "greedy"]
    assert decoders._free == 2
    assert not decoders._held


def test_one_owner_is_at_most_half_of_those_that_wait() -> None:
    decoders = Decoders(1)
    with ExitStack() as held:
        held.enter_context(decoders.one(Turn("greedy")))
        queue = Queue(decoders)
        queue.add("greedy")
        queue.add("greedy")
        began = time.monotonic()
        with pytest.raises(Unavailable, match="send this one again"):
            held.enter_context(decoders.one(Turn("greedy", 0.2, 4)))
        assert time.monotonic() - began < 0.2
        began = time.monotonic()
        with pytest.raises(Unavailable) as caught:  # may wait, but not for ever
            held.enter_context(decoders.one(Turn("modest", 0.2, 4)))
        assert time.monotonic() - began > 0.19
        assert caught.value.code == "decoders_busy"
    assert queue.end() == ["greedy", "greedy"]
