"""What happens to ended workflows if another version of their definition becomes active.

The retention of the active version applies to all workflows of a type, also to those that have
ended long ago. If it is shorter than before, they are archived or erased with no further question.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from chains.retention.policy import Kept, default, kept_by

_DAY = 86_400.0


def warnings(connection: Connection, name: str, version: int) -> tuple[str, ...]:
    """What a switch from the active version of a name to `version` archives or erases earlier."""
    given = {"name": name, "version": version}
    rows = connection.execute(text(_BOTH), given).all()
    kept = {row.version: kept_by(row.body.get("retention"), default()) for row in rows}
    active = [row.version for row in rows if row.active]
    return tuple(_shorter(name, kept[active[0]], kept[version])) if active else ()


_BOTH = (
    "SELECT version, active, body FROM definitions"
    " WHERE name = :name AND (active OR version = :version)"
)


def _shorter(name: str, before: Kept, after: Kept) -> Iterator[str]:
    if _is_shorter(before.hot, after.hot):
        yield (
            f"ended workflows of {name} stay in PostgreSQL {_for(after.hot)} now, and not"
            f" {_for(before.hot)}: older ones are archived soon, whatever version they ran on"
        )
    if _is_shorter(before.archive, after.archive):
        yield (
            f"archived workflows of {name} are kept {_for(after.archive)} now, and not"
            f" {_for(before.archive)}: older ones are erased from seven days from now on"
        )


def _is_shorter(before: float | None, after: float | None) -> bool:
    return after is not None and (before is None or after < before)


def _for(seconds: float | None) -> str:
    if seconds is None:
        return "for ever"
    if seconds < _DAY:
        return f"for {seconds / 3600:.3g} hours"
    return f"for {seconds / _DAY:.6g} days"
