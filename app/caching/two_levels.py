"""A cache of two levels, with one maker for each value.

Invariant: a caller waits for another's value no longer than `wait_seconds`, and then makes its own.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_hex
from threading import Lock
from typing import Any

from cachetools import TTLCache

from app.caching.shared import AWAY, MAKE, Shared
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


@dataclass
class _Flight:
    """The making of one value by a thread of this process. `users` are the threads at it."""

    lock: Lock
    users: int = 0


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
        where nobody else can change it: the sum is how old a value may be. With 0 `seconds` it is
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

        Raises what `make` raises; then nothing is kept, and whoever waits makes its own.
        """
        text = self._own_text(key)
        if text is not None:
            use.count(self._name, "process", "hit")
            return json.loads(text)
        until = time.monotonic() + self._wait_seconds
        with self._flight(key) as is_first:
            text = None if is_first else self._own_text(key)
            if text is not None:
                use.count(self._name, "process", "wait")
                return json.loads(text)
            return self._shared_value(key, make, until)

    def clear(self) -> None:
        """Forget the values of this process, and wait for none of its makers any more."""
        # All is new: a forked child must not meet a lock that a thread of its parent has held.
        self._own: TTLCache[str, str] = TTLCache(_OWN_BYTES, self._own_seconds, getsizeof=len)
        self._flights: dict[str, _Flight] = {}
        self._lock = Lock()

    def _own_text(self, key: str) -> str | None:
        with self._lock:
            return self._own.get(key)

    def _keep(self, key: str, text: str) -> None:
        with self._lock:
            self._own[key] = text

    @contextmanager
    def _flight(self, key: str) -> Iterator[bool]:
        """Be the only thread at the key, or one that has waited long enough. Gives whether no other
        was at it."""
        with self._lock:
            flight = self._flights.setdefault(key, _Flight(Lock()))
            flight.users += 1
            is_first = flight.users == 1
        is_held = flight.lock.acquire(timeout=self._wait_seconds)
        try:
            yield is_first
        finally:
            if is_held:
                flight.lock.release()
            with self._lock:
                flight.users -= 1
                if not flight.users and self._flights.get(key) is flight:
                    del self._flights[key]

    def _shared_value(self, key: str, make: Callable[[], Any], until: float) -> Any:
        shared, token = use.shared if self._seconds else None, token_hex(8)
        if shared is None:
            return self._made(key, make, None, token)
        place, pauses, has_waited = f"{self._name}:{key}", iter(_PAUSES), False
        pause = 0.0
        while True:
            word, text = shared.take(place, token, self._make_seconds)
            if text is not None:
                use.count(self._name, "valkey", "wait" if has_waited else "hit")
                self._keep(key, text)
                return json.loads(text)
            if word == MAKE:
                return self._made(key, make, shared, token)
            if word == AWAY or time.monotonic() >= until:
                use.count(self._name, "valkey", "away" if word == AWAY else "late")
                return self._made(key, make, None, token)
            has_waited, pause = True, next(pauses, pause)
            time.sleep(min(pause, max(0.0, until - time.monotonic())))

    def _made(self, key: str, make: Callable[[], Any], shared: Shared | None, token: str) -> Any:
        """Make a value and keep it, in Valkey too if this caller has the right to make it."""
        place = f"{self._name}:{key}"
        try:
            value = make()
            text = json.dumps(value, separators=(",", ":"))
        except BaseException:
            if shared is not None:
                shared.leave(place, token)
            raise
        use.count(self._name, "process" if shared is None else "valkey", "miss")
        if len(text) > self._most_bytes:
            use.count(self._name, "process", "large")
            if shared is not None:
                shared.leave(place, token)
            return json.loads(text)
        self._keep(key, text)
        if shared is not None:
            shared.keep(place, token, text, self._seconds)
        return json.loads(text)
