"""A platform's answer, and what it tells of the platform's health and limits."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.outbound.stated_waits import retry_after, stated_wait

_READ_CHARACTERS = 2000


@dataclass(frozen=True)
class HttpReply:
    """A complete answer. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """The seconds that the platform asks to wait by Retry-After, or None."""
        return retry_after(self.headers)

    def json(self) -> Any:
        """The body as JSON, or None if it is not JSON, or nested too deeply to be read."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


_DEEPEST = 100


def text_at(answer: Any, *path: str | int) -> str:
    """The text at a path of an answer: an id, an address, the name of a status.

    Raises an error that `http.reading` knows if there is none, or if it is empty or has a character
    that cannot be shown (NUL, a lone surrogate): no request and no record could repeat it.

    >>> text_at({"urls": {"get": "https://a.example"}}, "urls", "get")
    'https://a.example'
    """
    for key in path:
        answer = answer[key]
    if not isinstance(answer, str) or not answer or not answer.isprintable():
        raise ValueError(f"no text at {'.'.join(map(str, path))}")
    return answer


def bounded(answer: Any) -> Any:
    """The answer. Raises ValueError if it is nested so deeply that it could not be recorded."""
    level = [answer]
    for _ in range(_DEEPEST):
        level = [
            each
            for value in level
            if isinstance(value, dict | list)
            for each in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return answer
    raise ValueError("the answer is nested too deeply")


def is_failure(reply: HttpReply) -> bool:
    """Whether an answer says that the platform does not work: a 5xx."""
    return reply.status >= 500


@dataclass(frozen=True)
class Told:
    """What an answer tells of a limit.

    `is_refused`: the call was refused because of it, for `after` seconds if that is said. `limit`
    are the requests that are allowed in each second, and `remaining` those that are left for
    `reset` seconds. `tokens` are those that the call has used. None: it does not say so. `names`
    are the limits of which it tells; without one, those are all under which the call fell. Of
    tokens, `token_limit` are allowed in each second, and `tokens_left` may be used now.
    """

    is_refused: bool = False
    after: float | None = None
    limit: float | None = None
    remaining: int | None = None
    reset: float | None = None
    tokens: int | None = None
    names: tuple[str, ...] = ()
    token_limit: float | None = None
    tokens_left: int | None = None


def told(reply: HttpReply) -> Told:
    """What any answer tells: a 429 refuses, with the wait in its headers or its text."""
    if reply.status != 429:
        return Told()
    text = reply.body[:_READ_CHARACTERS].decode("utf-8", "replace")
    return Told(is_refused=True, after=stated_wait(reply.headers, text))
