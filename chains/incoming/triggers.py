"""Creates, reads, changes, pauses and deletes triggers. Each belongs to one user, and has a name.

Every change raises the user's revision in its transaction, so that all processes see it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from app import db
from app.db.models import MATCH_OUTCOMES
from app.errors import Conflict, InvalidInput, NotFound
from app.payload import dumps_or_none
from app.platform import Json
from chains import registry
from chains.incoming.rules import check_expressions, check_pattern

MOST_TRIGGERS = 2000
"""The most triggers of a user."""
MOST_COUNTED = 10_000
"""The most matches of one outcome that are counted at a trigger, beside those of old events."""

_SHOWN = (
    "id, name, event_type, filter, definition, version, input, idempotency_key, created_at,"
    " changed_at, paused_at"
)
_OWN = "user_id = :user AND name = :name AND deleted_at IS NULL"


@dataclass(frozen=True)
class Wanted:
    """What a trigger is to be."""

    event_type: str
    definition: str
    filter: str | None = None
    version: int | None = None
    input: Any = None
    idempotency_key: str | None = None

    def check(self) -> None:
        """Raise InvalidInput, with the faults, if such a trigger cannot work."""
        check_pattern(self.event_type)
        check_expressions(vars(self))
        if self.version is None:
            is_known = bool(registry.choice(self.definition).versions)
            if not is_known:
                message = f"there is no workflow type {self.definition!r}"
                raise InvalidInput(message, field="/definition")
        elif registry.pick(self.definition, UUID(int=0), self.version) is None:
            message = f"{self.definition} has no version {self.version} that can be started"
            raise InvalidInput(message, field="/version")

    @property
    def columns(self) -> Json:
        """The values of its columns."""
        return {**vars(self), "input": dumps_or_none(self.input)}


def create(user_id: UUID, name: str, wanted: Wanted) -> Json:
    """Create a trigger and return it.

    Raise InvalidInput if it is wrong or the user has too many, Conflict if the name is taken.
    """
    wanted.check()
    values = {"user": user_id, "name": name, "most": MOST_TRIGGERS, **wanted.columns}
    try:
        with db.begin() as connection:
            _revise(connection, user_id)
            made = connection.execute(text(_INSERT), values).one_or_none()
    except IntegrityError as err:
        raise Conflict(f"you have a trigger {name!r} already", code="trigger_exists") from err
    if made is None:
        raise InvalidInput(
            f"you have {MOST_TRIGGERS} triggers, which is the most; delete one that is not needed",
            code="too_many_triggers",
        )
    return show(user_id, name)


_INSERT = (
    "INSERT INTO event_triggers (organisation_id, project_id, user_id, name, event_type, filter,"
    " definition, version, input, idempotency_key)"
    " SELECT organisation_id, project_id, id, :name, :event_type, :filter, :definition, :version,"
    " cast(:input AS jsonb), :idempotency_key FROM users WHERE id = :user"
    " AND :most > (SELECT count(*) FROM event_triggers"
    " WHERE user_id = :user AND deleted_at IS NULL) RETURNING id"
)


def replace(user_id: UUID, name: str, wanted: Wanted) -> Json:
    """Replace everything of a trigger but its name, and return it. Raise as `create`, or NotFound.

    It keeps its counts, and it is paused if it was.
    """
    wanted.check()
    _change(user_id, name, _REPLACE, wanted.columns)
    return show(user_id, name)


_REPLACE = (
    "event_type = :event_type, filter = :filter, definition = :definition, version = :version,"
    " input = cast(:input AS jsonb), idempotency_key = :idempotency_key"
)


def pause(user_id: UUID, name: str) -> Json:
    """Let events pass a trigger by, from now on. Raise NotFound if there is none."""
    _change(user_id, name, "paused_at = coalesce(paused_at, clock_timestamp())")
    return show(user_id, name)


def resume(user_id: UUID, name: str) -> Json:
    """Let a trigger take events again that are matched from now on. Raise NotFound."""
    _change(user_id, name, "paused_at = NULL")
    return show(user_id, name)


def delete(user_id: UUID, name: str) -> None:
    """Delete a trigger. Raise NotFound if there is none."""
    _change(user_id, name, "deleted_at = clock_timestamp()")


def _change(
    user_id: UUID, name: str, assignments: str, values: Mapping[str, Any] | None = None
) -> None:
    statement = (
        f"UPDATE event_triggers SET {assignments}, changed_at = clock_timestamp()"
        f" WHERE {_OWN} RETURNING id"
    )
    given = {"user": user_id, "name": name, **(values or {})}
    with db.begin() as connection:
        _revise(connection, user_id)
        if connection.execute(text(statement), given).one_or_none() is None:
            raise _absent(name)


def _revise(connection: Connection, user_id: UUID) -> None:
    """Raise the revision of the user's triggers. Changes of one user wait here for each other."""
    connection.execute(
        text(
            "INSERT INTO event_trigger_revisions (user_id) VALUES (:user) ON CONFLICT (user_id)"
            " DO UPDATE SET revision = event_trigger_revisions.revision + 1"
        ),
        {"user": user_id},
    )


def _absent(name: str) -> NotFound:
    return NotFound(f"you have no trigger {name!r}")


def show(user_id: UUID, name: str) -> Json:
    """A trigger with its counts and the last reason. Raise NotFound if there is none."""
    found = _read(user_id, "AND name = :name", {"name": name})
    if not found:
        raise _absent(name)
    return found[0]


def listing(user_id: UUID, *, after: str = "", limit: int = 50) -> tuple[list[Json], str | None]:
    """A page of the user's triggers, by name, and the name after which the next page begins."""
    given = {"after": after, "limit": limit + 1}
    found = _read(user_id, "AND name > :after ORDER BY name LIMIT :limit", given)
    shown = found[:limit]
    return shown, shown[-1]["name"] if len(found) > limit else None


def _read(user_id: UUID, rest: str, values: Mapping[str, Any]) -> list[Json]:
    cleared = ", ".join(f"cleared_{name}" for name in MATCH_OUTCOMES if name != "pending")
    statement = (
        f"SELECT {_SHOWN}, {cleared} FROM event_triggers"
        f" WHERE user_id = :user AND deleted_at IS NULL {rest}"
    )
    with db.begin() as connection:
        rows = connection.execute(text(statement), {"user": user_id, **values}).mappings().all()
        ids = [row["id"] for row in rows]
        counted = {"ids": ids, "outcomes": list(MATCH_OUTCOMES), "most": MOST_COUNTED}
        counts = connection.execute(text(_COUNTS), counted).mappings().all()
        reasons = connection.execute(text(_REASONS), {"ids": ids}).mappings().all()
    last = {row["trigger_id"]: dict(row) for row in reasons}
    return [_shown(dict(row), counts, last.get(row["id"])) for row in rows]


_COUNTS = (
    "SELECT t.id AS trigger_id, o.outcome, c.number"
    " FROM unnest(cast(:ids AS uuid[])) AS t (id) CROSS JOIN unnest(cast(:outcomes AS text[]))"
    " AS o (outcome) CROSS JOIN LATERAL (SELECT count(*) AS number FROM ("
    "  SELECT FROM trigger_matches AS m WHERE m.trigger_id = t.id AND m.outcome = o.outcome"
    "  LIMIT :most) AS read) AS c"
)
_REASONS = (
    "SELECT t.id AS trigger_id, m.outcome, m.reason, m.decided_at AS at, m.event_id"
    " FROM unnest(cast(:ids AS uuid[])) AS t (id) CROSS JOIN LATERAL ("
    "  SELECT found.* FROM unnest(ARRAY['refused', 'raised', 'stopped', 'dropped']) AS o (outcome)"
    "   CROSS JOIN LATERAL (SELECT * FROM trigger_matches AS each"
    "    WHERE each.trigger_id = t.id AND each.outcome = o.outcome"
    "    ORDER BY each.decided_at DESC LIMIT 1) AS found"
    "   ORDER BY found.decided_at DESC LIMIT 1) AS m"
)


def _shown(row: Json, counts: Any, last: Json | None) -> Json:
    number = {name: row.pop(f"cleared_{name}", 0) for name in MATCH_OUTCOMES}
    for each in counts:
        if each["trigger_id"] == row["id"]:
            number[each["outcome"]] += each["number"]
    counted = {"matched": sum(number.values()) - number["raised"], **number}
    if last is not None:
        last.pop("trigger_id")
    return row | {"counts": counted, "last_problem": last}
