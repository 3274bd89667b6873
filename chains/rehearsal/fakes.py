"""Fake actions, which give answers in place of a platform.

A fake is a value (the output), an Outcome (an exception, raised at each call), a function of the
input that returns a value or raises, or a list of these, one for each attempt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.errors import Outcome
from app.platform import Action
from chains.language.definition import parse_duration


class FakeMissing(LookupError):
    """Raised if an action is called that has no fake; the message says what to add.

    It ends the rehearsal.
    """


@dataclass(frozen=True)
class Takes:
    """An answer that comes after a duration (seconds, `"90s"` or a timedelta) in the same attempt.

    If the duration is longer than the attempt's time-out, the step is retried.
    """

    duration: float | str | timedelta
    answer: Any = None


@dataclass(frozen=True)
class Suspends:
    """An answer that a webhook of the vendor brings after a duration.

    The step is suspended until then, but not longer than its `timeout`.
    """

    duration: float | str | timedelta
    answer: Any = None


def seconds_of(duration: float | str | timedelta) -> float:
    """The seconds of a duration such as `90`, `"90s"` or a timedelta."""
    return float(parse_duration(duration))


def answer_of(fake: Any, given: Any) -> Any:
    """The answer of a fake to an input: an output, a Takes or a Suspends.

    If the fake is an exception, raise it.
    """
    if isinstance(fake, type) and issubclass(fake, Outcome):
        raise fake("the fake raises this outcome")
    if isinstance(fake, BaseException):
        raise fake
    return answer_of(fake(given), given) if callable(fake) else fake


class Fakes:
    """The fakes of a rehearsal, by action.

    `argument` is the name of the argument of `rehearse` that contains them, for error messages.
    """

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
        """The next answer of an action for a step; raise FakeMissing if there is none."""
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
