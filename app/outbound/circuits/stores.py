"""Where circuits are kept: in Valkey for all workers, or in this process while Valkey is away.

Outage mode: each process counts for itself, by the same rules. It asks Valkey again each second.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import astuple
from functools import lru_cache
from hashlib import sha1
from pathlib import Path
from threading import Lock
from typing import Any

import redis

from app import telemetry, valkey
from app.outbound.circuits.core import Circuit, Report, View

log = telemetry.logger(__name__)

Name = tuple[str, str]
"""A platform and an operation, which have one circuit."""
Asked = tuple[Name, Report]

ANSWER_SECONDS = 0.25
"""The longest wait for Valkey. A call to a platform may wait so long once a second."""
AGAIN_SECONDS = 1.0
_KEY = "playalter:circuit:{}:{}"


class Own:
    """The circuits of this process alone."""

    def __init__(self) -> None:
        self._circuits: defaultdict[Name, Circuit] = defaultdict(Circuit)
        self._lock = Lock()

    def turn(self, asked: Iterable[Asked]) -> list[View]:
        """Give each report to its circuit, and return the answers in order."""
        now = time.time_ns() // 1_000_000
        with self._lock:
            return [self._circuits[name].turn(report, now) for name, report in asked]

    def clear(self) -> None:
        """Forget all circuits: they are closed."""
        with self._lock:
            self._circuits.clear()


class Shared:
    """The circuits in Valkey, whose clock they go by."""

    def __init__(self, redis_url: str, now: Callable[[], int] | None = None) -> None:
        """`now` gives the time in milliseconds instead of Valkey's clock."""
        self._client = valkey.client(redis_url, ANSWER_SECONDS)
        self._now: Callable[[], int | str] = now or (lambda: "")

    def turn(self, asked: Iterable[Asked]) -> list[View]:
        """Give each report to its circuit in one round trip. Raises RedisError or OSError.

        A report may have arrived although this raises. It is not sent again.
        """
        given = [(_KEY.format(*name), [*astuple(report), self._now()]) for name, report in asked]
        try:
            return self._run(given)
        except redis.exceptions.NoScriptError:
            self._client.script_load(_script()[0])
            return self._run(given)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _run(self, given: list[tuple[str, list[Any]]]) -> list[View]:
        with self._client.pipeline(transaction=False) as pipeline:
            for key, words in given:
                pipeline.evalsha(_script()[1], 1, key, *words)
            return [_view(found) for found in pipeline.execute()]


class Stores:
    """The shared circuits, or those of this process while Valkey does not answer.

    Threads may share it.
    """

    def __init__(self, shared: Shared) -> None:
        self._shared, self._own = shared, Own()
        self._away_until = 0.0
        self._is_away = False

    def turn(self, asked: list[Asked]) -> list[View]:
        """Give each report to its circuit, and return the answers in order."""
        if time.monotonic() >= self._away_until:
            try:
                found = self._shared.turn(asked)
            except (redis.RedisError, OSError) as err:
                self._away_until = time.monotonic() + AGAIN_SECONDS
                if not self._is_away:
                    self._is_away = True
                    log.warning("circuits.not_shared", error=str(err)[:200])
            else:
                if self._is_away:
                    self._is_away = False
                    self._own.clear()
                    log.info("circuits.shared_again")
                return found
        return self._own.turn(asked)

    def close(self) -> None:
        """Close the connections."""
        self._shared.close()


@lru_cache(maxsize=1)
def _script() -> tuple[str, str]:
    """The text of the script, and the hash by which Valkey knows it."""
    text = (Path(__file__).parent / "circuit.lua").read_text()
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()


def _view(found: list[Any]) -> View:
    state, epoch, until, leased, why, change, is_granted, now = found
    return View(
        state.decode(),
        epoch,
        until,
        leased,
        why.decode(errors="replace"),
        change.decode(),
        is_granted == 1,
        now,
    )
