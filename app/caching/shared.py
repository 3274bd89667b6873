"""The level of the caches that all processes share: values in Valkey, and the right to make one.

Outage mode: a method that Valkey does not answer returns AWAY, and for a second the others do so
too without asking.
"""

import time
from functools import lru_cache
from hashlib import sha1
from pathlib import Path
from typing import Any, Self

import redis
import structlog

from app import valkey

log = structlog.get_logger()

ANSWER_SECONDS = 0.25
AGAIN_SECONDS = 1.0
MAKE, WAIT, AWAY = "make", "wait", "away"
_PREFIX = "playalter:cache:"


class Shared:
    """Values by key. Threads may share it."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._client = valkey.client(redis_url, ANSWER_SECONDS)
        self._away_until = 0.0
        self._is_away = False

    def take(self, key: str, token: str, seconds: float) -> tuple[str, str | None]:
        """The value of a key as (``"hit"``, text). Otherwise (MAKE, None): the caller has the right
        to make it for `seconds`; (WAIT, None): another has that right; or (AWAY, None)."""
        found = self._run("take", key, token, _milliseconds(seconds))
        if found is None:
            return AWAY, None
        word, value = found
        return word.decode(), None if value is None else value.decode(errors="replace")

    def keep(self, key: str, token: str, text: str, seconds: float) -> None:
        """Keep a value for `seconds`, and give up the right to make it. Without that right,
        nothing is kept."""
        self._run("keep", key, token, _milliseconds(seconds), text)

    def leave(self, key: str, token: str) -> None:
        """Give up the right to make a value, so that another makes it."""
        self._run("leave", key, token)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def renewed(self) -> Self:
        """The same with connections of its own, for a forked child."""
        return type(self)(self._redis_url)

    def _run(self, op: str, key: str, *given: Any) -> Any:
        """What the script answers, or None if Valkey is away."""
        if time.monotonic() < self._away_until:
            return None
        keys = (f"{_PREFIX}{key}", f"{_PREFIX}{key}:maker")
        try:
            try:
                found = self._client.evalsha(_script()[1], 2, *keys, op, *given)
            except redis.exceptions.NoScriptError:
                found = self._client.eval(_script()[0], 2, *keys, op, *given)
        except (redis.RedisError, OSError) as err:
            self._away_until = time.monotonic() + AGAIN_SECONDS
            if not self._is_away:
                self._is_away = True
                log.warning("caches.not_shared", error=str(err)[:200])
            return None
        if self._is_away:
            self._is_away = False
            log.info("caches.shared_again")
        return found


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


@lru_cache(maxsize=1)
def _script() -> tuple[str, str]:
    """The text of the script, and the hash by which Valkey knows it."""
    text = (Path(__file__).parent / "caching.lua").read_text()
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()
