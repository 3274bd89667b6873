"""Platforms that other packages bring, each by an entry point in the group `playalter.platforms`.

Invariant: a platform that cannot be used ends the process and is named; none is passed over.
"""

from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import NoReturn

from app.declarations import faults
from app.platform import Platform

GROUP = "playalter.platforms"
_REMEDY = "Correct or uninstall that package, or leave the platform out by PLATFORMS"


class PlatformInvalid(SystemExit):
    """A platform cannot be used; the message says whose it is and why. Ends the process."""


def found() -> list[EntryPoint]:
    """The entry points of all packages that are installed."""
    return list(entry_points(group=GROUP))


def platforms(
    ours: Sequence[Platform], others: Iterable[EntryPoint], wanted: frozenset[str] | None
) -> tuple[Platform, ...]:
    """Our platforms and the others' in the order of their names, as far as they are wanted (None:
    all); raise PlatformInvalid for the first that cannot be used. What is not wanted is not
    imported.
    """
    entries = sorted(others, key=lambda entry: entry.name)
    known = [*(each.name for each in ours), *(entry.name for entry in entries)]
    if unknown := sorted((wanted or frozenset()) - set(known)):
        raise PlatformInvalid(
            f"PLATFORMS: there is no platform {', '.join(unknown)}; there are {', '.join(known)}"
        )
    for entry in entries:
        if known.count(entry.name) > 1:
            why = f"another platform is named {entry.name!r} too"
            _refuse(entry, why, "Rename or uninstall one of them")
    chosen = [each for each in ours if wanted is None or each.name in wanted]
    chosen += [_load(entry) for entry in entries if wanted is None or entry.name in wanted]
    return tuple(chosen)


def _load(entry: EntryPoint) -> Platform:
    """The platform of an entry point: an object, or what a function of no arguments gives."""
    try:
        value = entry.load()
        if callable(value):
            value = value()
    except Exception as err:  # noqa: BLE001 - whatever a foreign module raises
        _refuse(entry, f"it cannot be loaded: {type(err).__name__}: {err}")
    if not isinstance(value, Platform):
        _refuse(entry, f"it must give an app.platform.Platform, not {type(value).__name__}")
    wrong = list(faults(value))
    if value.name != entry.name:
        wrong.insert(0, f"the entry point must have the platform's name, {value.name!r}")
    if wrong:
        _refuse(entry, "; ".join(wrong))
    return value


def _refuse(entry: EntryPoint, why: str, remedy: str = _REMEDY) -> NoReturn:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
    told = " ".join(why.split())
    raise PlatformInvalid(
        f"platform {entry.name} of {package} (entry point {entry.value}): {told}. {remedy}"
    )
