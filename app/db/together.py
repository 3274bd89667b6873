"""Calls of one SQL function that several threads make at the same moment travel together.

A process that holds many steps at once would make one round trip and one commit for each call. Here
the thread that calls first makes the call for all that came while the last call was under way: one
statement, one transaction. Each caller gets its own rows, after the commit. A call that comes alone
is made at once, and as before.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import structlog

from app.db.patience import hot
from app.db.pool import prepared

log = structlog.get_logger()

MOST_CALLS = 64
MOST_CHARACTERS = 256 * 1024
_ALONE_CHARACTERS = 32 * 1024
"""A call with longer parameters travels alone."""

Rows = list[dict[str, Any]]


@dataclass(eq=False)
class _Call:
    """One caller's call. `turn` is set when `rows` are there, or when the caller is to flush."""

    parameters: tuple[Any, ...]
    characters: int
    turn: threading.Event = field(default_factory=threading.Event)
    together: "list[_Call] | None" = None
    rows: Rows | None = None


class Together:
    """The calls of the SQL function `one`, made together by the function `many`.

    `one` has parameters of the `types`. `many` has an array for each of them, in the same order (of
    text for jsonb and json), and returns the columns of `one` behind `call_number`, which counts
    from 1. It leaves out a call that would have to wait for a lock, and that call is made alone.
    """

    def __init__(self, one: str, many: str, types: str) -> None:
        self._one, self._many, self._types = one, many, types
        names = [each.strip() for each in types.split(",")]
        self._array_types = ", ".join(f"{'text' if n in {'jsonb', 'json'} else n}[]" for n in names)
        self._lock = threading.Lock()
        self._is_flushing = False
        self._waiting: list[_Call] = []

    def call(self, parameters: tuple[Any, ...], *, seconds: float) -> Rows:
        """Call `one` with the retries of `app.db.hot`, and return its rows.

        The call may travel together with others.
        """
        characters = sum(len(each) for each in parameters if isinstance(each, str))
        if characters > _ALONE_CHARACTERS:
            return self.alone(parameters, seconds=seconds)
        call = _Call(parameters, characters)
        with self._lock:
            is_first = not self._is_flushing
            self._is_flushing = True
            if not is_first:
                self._waiting.append(call)
        if is_first:
            call.together = [call]
        else:
            # Whoever flushes always sets it, and its own waits are bounded.
            call.turn.wait()
        if call.together is not None:
            self._flush(call.together, seconds)
        return self.alone(parameters, seconds=seconds) if call.rows is None else call.rows

    def _flush(self, calls: list[_Call], seconds: float) -> None:
        try:
            if len(calls) == 1:
                calls[0].rows = self.alone(calls[0].parameters, seconds=seconds)
            else:
                self._give_rows(calls)
        finally:
            with self._lock:
                following = self._next()
                self._is_flushing = bool(following)
            if following:
                following[0].together = following
                following[0].turn.set()
            for call in calls[1:]:
                call.turn.set()

    def _next(self) -> list[_Call]:
        characters, count = 0, 0
        for call in self._waiting[:MOST_CALLS]:
            characters += call.characters
            if count and characters > MOST_CHARACTERS:
                break
            count += 1
        following, self._waiting = self._waiting[:count], self._waiting[count:]
        return following

    def _give_rows(self, calls: Sequence[_Call]) -> None:
        """Make all calls in one transaction. If that fails, each caller makes its own."""
        columns = tuple(list(each) for each in zip(*(c.parameters for c in calls), strict=True))
        try:
            rows = prepared(self._many, self._array_types, columns)
        except psycopg2.Error as err:
            log.info("together.failed", function=self._many, error=str(err).strip()[:200])
            return
        found: dict[int, Rows] = {}
        for row in rows:
            found.setdefault(row.pop("call_number"), []).append(row)
        for number, call in enumerate(calls, 1):
            call.rows = found.get(number)

    def alone(self, parameters: tuple[Any, ...], *, seconds: float) -> Rows:
        """Call `one` alone, with the retries of `app.db.hot`."""
        return hot(self._one, self._types, parameters, seconds=seconds)
