"""How long the workflows of each type are kept, by their definitions and by the settings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from app import db
from app.settings import current
from chains.language.retention import Retention

_DAY = 86400.0
_Given = TypeAdapter[str | Retention](str | Retention)


@dataclass(frozen=True)
class Kept:
    """The seconds for which a workflow stays in PostgreSQL after its end, and then in the archive.

    None: for ever.
    """

    hot: float | None
    archive: float | None


def longest(each: Iterable[Kept]) -> Kept:
    """What applies to a family with workflows of several types: the longest of each.

    >>> longest([Kept(10, 5), Kept(20, None)])
    Kept(hot=20, archive=None)
    """
    kept = list(each)
    hot, archive = [one.hot for one in kept], [one.archive for one in kept]
    return Kept(_longest(hot), _longest(archive))


def _longest(seconds: list[float | None]) -> float | None:
    given = [each for each in seconds if each is not None]
    return max(given) if len(given) == len(seconds) else None


@dataclass(frozen=True)
class Policy:
    """How long each type is kept. `default` applies to types that say nothing."""

    default: Kept
    types: Mapping[str, Kept]

    def of(self, types: Iterable[str]) -> Kept:
        """How long a family with workflows of these types is kept."""
        return longest(self.types.get(name, self.default) for name in types)

    @property
    def shortest_hot(self) -> float | None:
        """The shortest time for which any type stays in PostgreSQL; None if all do for ever."""
        given = [each.hot for each in (self.default, *self.types.values()) if each.hot is not None]
        return min(given, default=None)

    @property
    def shortest_archive(self) -> float | None:
        """The shortest time for which any type stays in the archive; None if all do for ever."""
        kept = (self.default, *self.types.values())
        return min((each.archive for each in kept if each.archive is not None), default=None)

    def assuming(self, type: str | None, hot: float) -> "Policy":
        """This policy if a type, or each that says nothing, was kept `hot` in PostgreSQL."""
        if type is None:
            return replace(self, default=replace(self.default, hot=hot))
        known = self.types.get(type, self.default)
        return replace(self, types={**self.types, type: replace(known, hot=hot)})


def policy() -> Policy:
    """The policy that applies now. Of a type, the active version's retention applies."""
    by_settings = default()
    rows = db.patiently(lambda: db.rows(_RETENTIONS, ()))
    return Policy(
        by_settings, {row["name"]: kept_by(row["retention"], by_settings) for row in rows}
    )


def default() -> Kept:
    """How long workflows are kept whose definition does not say it."""
    settings = current()
    hot, archive = settings.retention_hot_days, settings.retention_archive_days
    return Kept(
        None if hot == "never" else float(hot) * _DAY,
        None if archive == "forever" else float(archive) * _DAY,
    )


_RETENTIONS = """
SELECT name, body -> 'retention' AS retention FROM definitions
 WHERE active AND body ->> 'retention' IS NOT NULL
"""


def kept_by(body: Any, default: Kept) -> Kept:
    """What the `retention` of a definition's body says; None for one that says nothing."""
    if body is None:
        return default
    given = _Given.validate_python(body)
    if isinstance(given, str):
        return Kept(None, default.archive)
    archive = default.archive if given.archive is None else given.archive
    return Kept(
        default.hot if given.hot is None else given.hot,
        None if isinstance(archive, str) else archive,
    )
