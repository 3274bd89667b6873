"""Answers of lists and counts, which this process remembers for a second.

Boards and scripts ask for the same page again and again, while the page costs the database
milliseconds each time. A remembered answer is found only by who asks, whether as an operator, and
the whole address with its filters and cursor. What a user changes by this process is in its next
list: a write of the user, whatever its outcome, makes all that was remembered for it unreachable.
That holds for as long as an answer may be remembered that was begun before the write.
A change that others make (a worker, another web server, another user) is seen a second later at
most. Answers about one workflow are never remembered.

The second level of `app.caching` is not used: through Valkey an answer could be two seconds old,
and another server's write would not be known here.
"""

from collections.abc import Callable
from secrets import token_hex
from threading import Lock
from typing import Any
from uuid import UUID

from cachetools import TTLCache
from flask import current_app, has_app_context, request
from flask.globals import app_ctx

from app.caching import Cache, key_of
from app.settings import Settings
from web.auth import caller, is_operator
from web.bodies import JsonResponse, Text

REMEMBERED = "remembered"
_MOST_WRITERS = 4096
_MOST_BYTES = 256 * 1024
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Remembered:
    """What one application remembers. Threads share it."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is for how long; 0: nothing is remembered."""
        self._cache = None
        if seconds > 0:
            self._cache = Cache("lists", seconds=0, own_seconds=seconds, most_bytes=_MOST_BYTES)
            self._writes: TTLCache[UUID, str] = TTLCache(_MOST_WRITERS, 2 * seconds)
            self._lock = Lock()

    def get(self, user: UUID | None, place: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """The answer for the user at this place, JSON that is made by `make` if need be."""
        if self._cache is None:
            return make()
        with self._lock:
            last_write = "" if user is None else self._writes.get(user, "")
        return self._cache.get(key_of(str(user), last_write, *place), make)

    def forget(self, user: UUID) -> None:
        """Let the user's next lists be read anew."""
        if self._cache is not None:
            with self._lock:
                self._writes[user] = token_hex(8)


def remembering(settings: Settings) -> dict[str, Remembered]:
    """What the application of these settings remembers, as one of its extensions."""
    return {REMEMBERED: Remembered(settings.web_list_seconds)}


def listed(make: Callable[[], Any]) -> JsonResponse:
    """The answer to this request: what `make` returns, or what it returned a moment ago."""
    place = (is_operator(), request.path, request.query_string.decode("latin-1"))

    def text() -> str:
        return current_app.json.dumps(make(), separators=(",", ":"))

    return JsonResponse(Text(_here().get(caller(), place, text)))


def counted(name: str, make: Callable[[], Any]) -> Any:
    """A count that is the same for all who ask. Outside of a request, it is made."""
    if not has_app_context():
        return make()
    return _here().get(None, ("count", name), make)


def note_write() -> None:
    """Take note that this request may have changed what its user sees in lists."""
    kept = app_ctx.g
    if kept.request.method not in _READING and "user_id" in kept:
        _here().forget(kept.user_id)


def _here() -> Remembered:
    found: Remembered = current_app.extensions[REMEMBERED]
    return found
