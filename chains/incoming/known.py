"""The triggers that this process knows, by their owner and the types of events that they take.

They are read again when the owner's revision (see event_trigger_revisions) is another one. To find
the triggers of an event takes a few look-ups, however many triggers there are.
"""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from app import db
from chains.incoming.rules import Trigger
from chains.language.event_patterns import patterns
from chains.language.expressions import ExpressionInvalid, kept

_MOST_CHARACTERS = 500_000
"""So many characters of filters are kept parsed in a process."""
_MOST_OF_USER = 200_000
_MOST_USERS = 1000
_FIELDS = tuple(name for name in Trigger.__dataclass_fields__ if name != "kept")
_COLUMNS = ", ".join(_FIELDS)


@dataclass(frozen=True)
class Known:
    """The triggers of a user that are not paused, at a revision."""

    revision: int
    by_pattern: Mapping[str, Sequence[Trigger]]
    characters: int

    def of(self, event_type: str) -> list[Trigger]:
        """The triggers whose pattern takes the type, in the order of their names."""
        found = [each for name in patterns(event_type) for each in self.by_pattern.get(name, ())]
        return sorted(found, key=lambda each: each.name)


_known: OrderedDict[UUID, Known] = OrderedDict()
_lock = threading.Lock()


def triggers_of(user_id: UUID, revision: int | None) -> Known:
    """The triggers of a user at this revision or a later one; None: the user never had any."""
    if revision is None:
        return Known(0, {}, 0)
    with _lock:
        found = _known.get(user_id)
        if found is not None and found.revision >= revision:
            _known.move_to_end(user_id)
            return found
    made = _read(user_id)
    with _lock:
        _known[user_id] = made
        _known.move_to_end(user_id)
        while len(_known) > 1 and (len(_known) > _MOST_USERS or _total() > _MOST_CHARACTERS):
            _known.popitem(last=False)
    return made


def _total() -> int:
    return sum(each.characters for each in _known.values())


def _read(user_id: UUID) -> Known:
    # One statement, so that the triggers are those of the revision.
    rows = db.patiently(lambda: db.rows(_ALL, (user_id,)))
    by_pattern: dict[str, list[Trigger]] = defaultdict(list)
    characters = 0
    for row in rows:
        if row["id"] is None:
            continue
        trigger = _made(row)
        characters += len(trigger.filter or "")
        if characters <= _MOST_OF_USER:
            trigger = _with_filter(trigger)
        by_pattern[trigger.event_type].append(trigger)
    revision = rows[0]["revision"] if rows else 0
    return Known(revision, dict(by_pattern), min(characters, _MOST_OF_USER))


_ALL = (
    "SELECT r.revision, t.* FROM event_trigger_revisions AS r LEFT JOIN"
    f" (SELECT {_COLUMNS} FROM event_triggers WHERE deleted_at IS NULL AND paused_at IS NULL) AS t"
    " ON t.user_id = r.user_id WHERE r.user_id = %s"
)


def _with_filter(trigger: Trigger) -> Trigger:
    if trigger.filter is None:
        return trigger
    try:
        return replace(trigger, kept=kept(trigger.filter))
    except ExpressionInvalid:
        return trigger  # it fails again for each event, which is recorded there


def read_trigger(trigger_id: UUID) -> Trigger | None:
    """A trigger, also one that is paused or deleted, from the database."""
    row = db.row(f"SELECT {_COLUMNS} FROM event_triggers WHERE id = %s", (trigger_id,))
    return None if row is None else _made(row)


def _made(row: Mapping[str, Any]) -> Trigger:
    return Trigger(**{name: row[name] for name in _FIELDS})


def forget() -> None:
    """Forget everything that was read, so that this process can use another database."""
    with _lock:
        _known.clear()
