"""Finds the platforms of other packages, by their entry points in the group `playalter.platforms`.

Invariant: a wanted platform is never ignored. If it cannot be used, the process ends and names it.
"""

from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import NoReturn

from app.declarations import faults
from app.platform import Platform

GROUP = "playalter.platforms"
_REMEDY = "Correct or uninstall that package, or leave the platform out by PLATFORMS"


class PlatformInvalid(SystemExit):
    """A platform cannot be used. The message says which, of which package, and why. It ends the
    process."""


def found() -> list[EntryPoint]:
    """The entry points for platforms of all installed packages."""
    return list(entry_points(group=GROUP))


def platforms(
    ours: Sequence[Platform], others: Iterable[EntryPoint], wanted: frozenset[str] | None
) -> tuple[Platform, ...]:
    """The wanted platforms: ours, then those of other packages in the order of their names.

    `wanted` is None for all. A platform that is not wanted is not imported. Raises PlatformInvalid
    for the first that cannot be used, and for a wanted name that no platform has.
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
    """The platform of an entry point, which is a Platform or a function that returns one."""
    try:
        value = entry.load()
        if callable(value):
            value = value()
    except Exception as err:  # noqa: BLE001 - a foreign module may raise any error
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
