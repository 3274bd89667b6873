"""Fake actions: what is answered instead of calling a platform.

A fake is a value (the output), an Outcome (raised each time), a function of the input that answers
either, or a list of these, one for each attempt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.errors import Outcome
from app.platform import Action
from chains.language.definition import parse_duration


class FakeMissing(LookupError):
    """The rehearsal came to a call that it has no answer for; the message says what to add."""


@dataclass(frozen=True)
class Takes:
    """An answer that comes after a while (seconds, `"90s"` or a timedelta), the attempt going on
    meanwhile: longer than its time-out, and it is tried again."""

    duration: float | str | timedelta
    answer: Any = None


@dataclass(frozen=True)
class Suspends:
    """An answer that the vendor's webhook brings after a while; until then the step waits, at most
    for its `timeout`."""

    duration: float | str | timedelta
    answer: Any = None


def seconds_of(duration: float | str | timedelta) -> float:
    """Seconds of `90`, `"90s"` or a timedelta."""
    return float(parse_duration(duration))


def answer_of(fake: Any, given: Any) -> Any:
    """What a fake answers to an input: an output, Takes or Suspends; raise its Outcome."""
    if isinstance(fake, type) and issubclass(fake, Outcome):
        raise fake("the fake says so")
    if isinstance(fake, BaseException):
        raise fake
    return answer_of(fake(given), given) if callable(fake) else fake


class Fakes:
    """The fakes of a rehearsal, by the name of the action; `argument` is where they are given."""

    def __init__(
        self, argument: str, fakes: Mapping[str, Any], known: Mapping[str, Action]
    ) -> None:
        for name in fakes:
            if name not in known:
                raise FakeMissing(
                    f"{argument}: there is no action {name!r} that a fake can stand for"
                )
        self.argument = argument
        self._fakes = dict(fakes)
        self._used: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._fakes

    def answer(self, name: str, key: str, given: Any) -> Any:
        """The next answer for the action, in a step; raise FakeMissing where there is none."""
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
                f"step {key!r} calls {name} for the {used + 1}. time:"
                f' {self.argument}["{name}"] has {len(fakes)} answers'
            )
        self._used[name] = used + 1
        return fakes[used]
