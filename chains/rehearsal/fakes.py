"""Fake actions, which answer instead of a platform.

A fake is a value (the output), an Outcome (raised at each call), a function of the input that
returns either, or a list of these, one for each attempt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.errors import Outcome
from app.platform import Action
from chains.language.definition import parse_duration


class FakeMissing(LookupError):
    """A call in the rehearsal has no fake that answers it; the message says what to add."""


@dataclass(frozen=True)
class Takes:
    """An answer that takes a duration (seconds, `"90s"` or a timedelta) while the attempt runs.

    If that is longer than the attempt's time-out, the attempt is retried.
    """

    duration: float | str | timedelta
    answer: Any = None


@dataclass(frozen=True)
class Suspends:
    """An answer that the vendor's webhook brings after a duration.

    Until then the step waits, but not longer than its `timeout`.
    """

    duration: float | str | timedelta
    answer: Any = None


def seconds_of(duration: float | str | timedelta) -> float:
    """The seconds of a duration such as `90`, `"90s"` or a timedelta."""
    return float(parse_duration(duration))


def answer_of(fake: Any, given: Any) -> Any:
    """The answer of a fake to an input: an output, Takes or Suspends; raise a fake's Outcome."""
    if isinstance(fake, type) and issubclass(fake, Outcome):
        raise fake("the fake raises this outcome")
    if isinstance(fake, BaseException):
        raise fake
    return answer_of(fake(given), given) if callable(fake) else fake


class Fakes:
    """The fakes of a rehearsal, by action; `argument` names the argument that holds them."""

    def __init__(
        self, argument: str, fakes: Mapping[str, Any], known: Mapping[str, Action]
    ) -> None:
        for name in fakes:
            if name not in known:
                raise FakeMissing(
                    f"{argument}: there is no action {name!r} that a fake can replace"
                )
        self.argument = argument
        self._fakes = dict(fakes)
        self._used: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._fakes

    def answer(self, name: str, key: str, given: Any) -> Any:
        """The next answer for an action in a step; raise FakeMissing when there is none."""
        if name not in self._fakes:
            raise FakeMissing(
                f"step {key!r} calls {name}, which has no fake:"
                f' add {self.argument}={{"{name}": ...}} with its output'
            )
        fake = self._fakes[name]
        if isinstance(fake, list):
            fake = self._next(name, key, fake)
        return answer_of(fake, given)

    def _next(self, name: str, key: str, fakes: list[Any]) -> Any:
        used = self._used.get(name, 0)
        if used >= len(fakes):
            raise FakeMissing(
                f"step {key!r} makes call {used + 1} of {name}, but"
                f' {self.argument}["{name}"] has {len(fakes)} answers'
            )
        self._used[name] = used + 1
        return fakes[used]
