"""A call of a platform's client as the fuzz asks it, and what a sound result looks like."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Made = dict[str, Any]
_keys = itertools.count()
LONG_AGO, YEAR = datetime.now(UTC) - timedelta(days=1), timedelta(days=365)


@dataclass(frozen=True)
class Asked:
    """One call. `make` gets what the calls before it have made, by their names."""

    name: str
    make: Callable[[Made], Any]
    is_sound: Callable[[Any], bool]
    is_repeatable: bool = True
    errors_do_nothing: bool = False
    """Whether the platform says by a 5xx that nothing was done."""
    says_no: tuple[str, ...] = ()
    """Codes of refusals that stand in an answer with a status of success."""


@dataclass(frozen=True)
class Client:
    """A platform's calls, in an order in which they can be made, and the setting of its address.

    `family` tells a client from others of the platform. `setup` makes what the calls need: each
    object under the name that `make` takes it by.
    """

    platform: str
    setting: str
    calls: tuple[Asked, ...]
    family: str = ""
    setup: Callable[[], Made] = dict

    @property
    def name(self) -> str:
        """The name of its tests."""
        return f"{self.platform}-{self.family}" if self.family else self.platform


def key() -> str:
    """An idempotency key that was never used."""
    return f"fuzz-{next(_keys)}"


def text(value: Any) -> bool:
    """A text that is not empty."""
    return isinstance(value, str) and value != ""


def count(value: Any) -> bool:
    """A number of things."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def having(**kinds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A hash whose fields are sound."""
    return lambda made: (
        isinstance(made, dict) and all(is_sound(made[name]) for name, is_sound in kinds.items())
    )


def all_sound(is_sound: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A list of sound values."""
    return lambda made: isinstance(made, list) and all(map(is_sound, made))


def maybe(is_sound: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Null, or a sound value."""
    return lambda made: made is None or is_sound(made)


def flag(value: Any) -> bool:
    """Yes or no."""
    return isinstance(value, bool)


def nothing(value: Any) -> bool:
    """Null."""
    return value is None
