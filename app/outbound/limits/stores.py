"""Where limits are kept: in Valkey for all workers, or in this process while Valkey is away.

Outage mode: each process keeps to its share, which is the limit divided by the number of processes
that have called lately. So the limit is never exceeded by much, and never given up.
"""

import contextlib
import json
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import sha1
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import redis

from app import telemetry, valkey
from app.outbound.limits.core import Answer, Ask, Bucket, Note, Retries, take
from app.outbound.scopes import Limit

log = telemetry.logger(__name__)
_json = json.JSONEncoder().encode

T = TypeVar("T")

ANSWER_SECONDS = 0.25
AGAIN_SECONDS = 1.0
UNKNOWN_PROCESSES = 8
"""So many processes are assumed to call if Valkey has never answered."""
_TELL_SECONDS = 5.0
_MOST_LATE = 1000
"""Of so many calls that have ended while Valkey was away, it is told afterwards."""
_PREFIX = "playalter:limit:"
_PROCESSES = "playalter:limit-processes"
_RETRIES = "retries of repeated calls"


class Own:
    """The limits of this process alone, of which it uses a share."""

    def __init__(self) -> None:
        self._buckets: defaultdict[tuple[str, str], Bucket] = defaultdict(Bucket)
        self._retries: defaultdict[str, Retries] = defaultdict(Retries)
        self._lock = Lock()

    def take(self, platform: str, limits: Sequence[Limit], ask: Ask, processes: int) -> Answer:
        """Let a call take its place, or say how long it must wait."""
        with self._lock:
            given = [
                (self._buckets[platform, each.name], _share(each, processes)) for each in limits
            ]
            return take(given, self._retries[platform], ask, _now())

    def note(
        self, platform: str, limits: Sequence[Limit], notes: Sequence[Note], processes: int
    ) -> None:
        """Take note of what became of a call, for each limit."""
        with self._lock:
            for limit, note in zip(limits, notes, strict=True):
                shared = replace(
                    note,
                    limit=_part(note.limit, processes),
                    token_limit=_part(note.token_limit, processes),
                    tokens_left=_part(note.tokens_left, processes),
                )
                bucket = self._buckets[platform, limit.name]
                bucket.note(_share(limit, processes), shared, _now())

    def clear(self) -> None:
        """Forget all that was learned."""
        with self._lock:
            self._buckets.clear()
            self._retries.clear()


class Shared:
    """The limits in Valkey, whose clock they go by. Its methods raise RedisError or OSError."""

    def __init__(self, redis_url: str, now: Callable[[], float] | None = None) -> None:
        """`now` gives the time in milliseconds instead of Valkey's clock."""
        self._client = valkey.client(redis_url, ANSWER_SECONDS)
        self._now: Callable[[], float | None] = now or (lambda: None)

    def take(
        self, platform: str, limits: Sequence[Limit], ask: Ask, process: str = ""
    ) -> tuple[Answer, int]:
        """Let a call take its place, or say how long it must wait.

        `process` is counted as one that calls. Returns their number too, or 0 without `process`.
        """
        keys = (*_keys(platform, limits), f"{_PREFIX}{platform}:{_RETRIES}")
        asked = f'"ask": {_json(vars(ask))}, "process": "{process}", "processes": "{_PROCESSES}"'
        is_taken, wait, place, now, processes, *tops = self._run("take", keys, limits, asked)
        known = tuple(map(float, tops))
        return Answer(is_taken == 1, float(wait), place, float(now), known), processes

    def note(self, platform: str, limits: Sequence[Limit], notes: Sequence[Note]) -> None:
        """Take note of what became of a call, for each limit."""
        noted = f'"notes": {_json([vars(each) for each in notes])}'
        self._run("note", _keys(platform, limits), limits, noted)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _run(self, op: str, keys: Sequence[str], limits: Sequence[Limit], more: str) -> Any:
        # Most of the text is the same at each call, and this runs at each call to a platform.
        now = _json(self._now())
        text = f'{{"op": "{op}", "limits": {_text(tuple(limits))}, "now": {now}, {more}}}'
        try:
            return self._client.evalsha(_script()[1], len(keys), *keys, text)
        except redis.exceptions.NoScriptError:
            self._client.script_load(_script()[0])
            return self._client.evalsha(_script()[1], len(keys), *keys, text)


class Stores:
    """The shared limits, or this process's share of them while Valkey does not answer.

    Threads may share it.
    """

    def __init__(self, shared: Shared, process: str) -> None:
        """`process` is a name of this process that no other has."""
        self._shared, self._own, self._process = shared, Own(), process
        self._processes = UNKNOWN_PROCESSES
        self._tell_at = self._away_until = 0.0
        self._is_away = False
        self._late: deque[tuple[str, Sequence[Limit], Sequence[Note]]] = deque(maxlen=_MOST_LATE)

    def take(self, platform: str, limits: Sequence[Limit], ask: Ask) -> Answer:
        """Let a call take its place, or say how long it must wait."""
        is_telling = time.monotonic() >= self._tell_at
        name = self._process if is_telling else ""
        found = self._asked(lambda: self._shared.take(platform, limits, ask, name))
        if found is None:
            return self._own.take(platform, limits, ask, self._processes)
        if is_telling:
            self._tell_at = time.monotonic() + _TELL_SECONDS
            self._processes = max(1, found[1])
        return found[0]

    def note(self, platform: str, limits: Sequence[Limit], notes: Sequence[Note]) -> None:
        """Take note of what became of a call, for each limit."""

        def told() -> bool:
            self._shared.note(platform, limits, notes)
            return True

        if self._asked(told) is None:
            self._own.note(platform, limits, notes, self._processes)
            # Else the places of these calls would count as taken until their calls had to end.
            self._late.append((platform, limits, notes))

    def close(self) -> None:
        """Close the connections."""
        self._shared.close()

    def _asked(self, ask: Callable[[], T]) -> T | None:
        """What Valkey answers, or None if it is away."""
        if time.monotonic() < self._away_until:
            return None
        try:
            found = ask()
            self._tell_late()
        except (redis.RedisError, OSError) as err:
            self._away_until = time.monotonic() + AGAIN_SECONDS
            if not self._is_away:
                self._is_away = True
                log.warning("limits.not_shared", error=str(err)[:200], processes=self._processes)
            return None
        if self._is_away:
            self._is_away = False
            self._own.clear()
            log.info("limits.shared_again")
        return found

    def _tell_late(self) -> None:
        """Tell Valkey what could not be told while it was away. Raises as `Shared.note` does."""
        while self._late:
            with contextlib.suppress(IndexError):  # another thread was faster
                late = self._late.popleft()
                self._shared.note(*late)


def _keys(platform: str, limits: Sequence[Limit]) -> tuple[str, ...]:
    return tuple(f"{_PREFIX}{platform}:{each.name}" for each in limits)


@lru_cache(maxsize=1024)
def _text(limits: tuple[Limit, ...]) -> str:
    return _json([vars(each) for each in limits])


def _share(limit: Limit, processes: int) -> Limit:
    """A process's part of a limit: at least one request in flight, where these are limited."""
    in_flight = max(1, limit.in_flight // processes) if limit.in_flight else 0
    return replace(
        limit,
        requests=limit.requests / processes,
        tokens=limit.tokens / processes,
        in_flight=in_flight,
        burst=max(1, limit.burst // processes),
    )


def _part(number: float, processes: int) -> float:
    """A process's part of what an answer told; a negative number is not known, and stays so."""
    return number / processes if number > 0 else number


def _now() -> float:
    return float(time.time_ns() // 1_000_000)


@lru_cache(maxsize=1)
def _script() -> tuple[str, str]:
    """The text of the script, and the hash by which Valkey knows it."""
    text = (Path(__file__).parent / "limits.lua").read_text()
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()
