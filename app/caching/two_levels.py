"""A cache of two levels, with one maker for each value.

Invariant: a caller waits for another's value no longer than `wait_seconds`, and then makes its own.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex
from threading import Event, Lock
from typing import Any

from cachetools import TLRUCache

from app.caching.shared import AWAY, MAKE, WAIT, Shared
from app.caching.use import use

MOST_BYTES = 64 * 1024
"""A larger value is made each time. What is larger belongs into an artifact."""
_OWN_BYTES = 4 * 1024 * 1024
_PAUSES = (0.005, 0.01, 0.02, 0.05)
"""Between two looks for another's value; the last one is repeated."""


def key_of(*parts: Any) -> str:
    """The key of a value: a hash of the canonical JSON of the parts, so that a key tells nothing.

    >>> key_of("a", {"x": 1, "y": 2}) == key_of("a", {"y": 2, "x": 1})
    True
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class _Kept:
    """A value as text, and since when it may be out of date: the start of its making."""

    text: str
    since: float


@dataclass
class _Flight:
    """The making of one value by a thread of this process, for all threads that ask meanwhile.

    Once `is_over`, it has the value's `text`, or the `error`, or neither if the thread was ended.
    """

    since: float
    is_over: Event = field(default_factory=Event)
    text: str | None = None
    error: Exception | None = None


class Cache:
    """Values of one kind, by key. Threads share it."""

    def __init__(
        self,
        name: str,
        *,
        seconds: float,
        own_seconds: float,
        make_seconds: float = 30.0,
        wait_seconds: float = 5.0,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """A value lives `seconds` in Valkey, and `own_seconds` in each process that has read it,
        where nobody else can change it: the sum is how old a value may be, from the start of its
        making. With 0 `seconds` it is
        not shared. Only then may `most_bytes` of one value be raised.

        The right to make a value ends after `make_seconds`, whatever became of its holder.
        """
        self._name = name
        self._seconds, self._make_seconds = seconds, make_seconds
        self._wait_seconds, self._most_bytes = wait_seconds, most_bytes
        assert not seconds or most_bytes <= MOST_BYTES
        self._own_seconds = own_seconds
        self.clear()
        use.caches.add(self)

    def get(self, key: str, make: Callable[[], Any]) -> Any:
        """The value of the key (see `key_of`): JSON, which is made by `make` if it is not known.

        Raises what `make` raises, and then keeps nothing. Threads of this process that ask while it
        is made share the value, also one that is too large to be kept, or the error.
        """
        began = time.monotonic()
        with self._lock:
            kept, flight = self._own.get(key), self._flights.get(key)
            # What began too long ago would be out of date when it comes.
            is_mine = flight is None or began - flight.since > self._own_seconds
            if kept is None and is_mine:
                flight = self._flights[key] = _Flight(began)
        if kept is not None:
            use.count(self._name, "process", "hit")
            return json.loads(kept.text)
        assert flight is not None
        if is_mine:
            return json.loads(self._flown(key, make, flight))
        return json.loads(self._awaited(key, make, flight))

    def clear(self) -> None:
        """Forget the values of this process, and wait for none of its makers any more."""
        # All is new: a forked child must not meet a lock that a thread of its parent has held.
        self._own: TLRUCache[str, _Kept] = TLRUCache(
            _OWN_BYTES,
            lambda _key, kept, _now: kept.since + self._own_seconds,
            timer=time.monotonic,
            getsizeof=lambda kept: len(kept.text),
        )
        self._flights: dict[str, _Flight] = {}
        self._lock = Lock()

    def _keep(self, key: str, text: str, since: float) -> None:
        with self._lock:
            self._own[key] = _Kept(text, since)

    def _flown(self, key: str, make: Callable[[], Any], flight: _Flight) -> str:
        """Make the value for all threads that wait for this flight."""
        try:
            flight.text = text = self._shared_text(key, make, flight.since + self._wait_seconds)
        except Exception as err:
            flight.error = err
            raise
        finally:
            with self._lock:
                if self._flights.get(key) is flight:
                    del self._flights[key]
            flight.is_over.set()
        return text

    def _awaited(self, key: str, make: Callable[[], Any], flight: _Flight) -> str:
        """What another thread makes; what this one makes if that takes too long."""
        is_over = flight.is_over.wait(self._wait_seconds)
        if flight.error is not None:
            raise flight.error
        if flight.text is not None:
            use.count(self._name, "process", "wait")
            return flight.text
        if not is_over:
            use.count(self._name, "process", "late")
        return self._shared_text(key, make, time.monotonic())

    def _shared_text(self, key: str, make: Callable[[], Any], until: float) -> str:
        shared, token = use.shared if self._seconds else None, token_hex(8)
        if shared is None:
            return self._made(key, make, None, token)
        place, pauses, has_waited = f"{self._name}:{key}", iter(_PAUSES), False
        pause = 0.0
        while True:
            word, text = shared.take(place, token, self._make_seconds)
            if text is not None and _is_json(text):
                use.count(self._name, "valkey", "wait" if has_waited else "hit")
                self._keep(key, text, time.monotonic())
                return text
            if word == MAKE:
                return self._made(key, make, shared, token)
            if word != WAIT or time.monotonic() >= until:
                # A value that cannot be read stays in Valkey until its end.
                use.count(self._name, "valkey", "away" if word == AWAY else "late")
                return self._made(key, make, None, token)
            has_waited, pause = True, next(pauses, pause)
            time.sleep(min(pause, max(0.0, until - time.monotonic())))

    def _made(self, key: str, make: Callable[[], Any], shared: Shared | None, token: str) -> str:
        """Make a value and keep it, in Valkey too if this caller has the right to make it.

        Its age counts from the start of the making.
        """
        place, began = f"{self._name}:{key}", time.monotonic()
        try:
            value = make()
            text = json.dumps(value, separators=(",", ":"))
        except BaseException:
            if shared is not None:
                shared.leave(place, token)
            raise
        use.count(self._name, "process" if shared is None else "valkey", "miss")
        left = began + self._seconds - time.monotonic()
        is_large = len(text) > self._most_bytes
        if is_large:
            use.count(self._name, "process", "large")
        else:
            self._keep(key, text, began)
        if shared is not None and (is_large or left <= 0):
            shared.leave(place, token)
        elif shared is not None:
            shared.keep(place, token, text, left)
        return text
