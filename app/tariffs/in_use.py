"""The models that are in use beside those in the settings: who has used or named them, and when.

Outage mode: without PostgreSQL a use is not noted, and is noted at a later one.
"""

import threading
from collections.abc import Iterable
from datetime import date, timedelta

import structlog

from app import db
from app.errors import Unavailable
from app.settings import SettingsInvalid
from app.tariffs import current

# Not that of app.telemetry: platforms import this module before the metrics know their folder.
log = structlog.get_logger()

KEPT_FOR = timedelta(days=7)
"""For so long after its last use, a model counts as in use."""
NAMED_FOR = timedelta(days=1)
"""For so long after it was last seen to be named; housekeeping looks each hour."""
_MOST = 200
_LONGEST = 300
"""The characters of the longest name that is noted. Inputs and answers may give any text as one,
and PostgreSQL keeps no long key and no character 0."""
_noted: dict[tuple[str, str], date] = {}
_lock = threading.Lock()


def note_use(platform: str, model: str) -> None:
    """A step has used a model. It is noted once a day by each process."""
    today, used = current.today(), (platform, model)
    with _lock:
        if _noted.get(used) == today:
            return
        if len(_noted) >= _MOST:
            _noted.clear()
        _noted[used] = today
    try:
        _note("used_on", [used], today)
    except SettingsInvalid:
        return
    except (Unavailable, *db.AWAY) as err:
        with _lock:
            _noted.pop(used, None)
        log.warning("model.use_not_noted", error=str(err).strip()[:200])


def note_named(named: Iterable[tuple[str, str]]) -> None:
    """Definitions and schedules name these models now; what has not been in use for long is
    forgotten."""
    today = current.today()
    _note("named_on", sorted(set(named)), today)
    db.rows(
        "DELETE FROM models_in_use WHERE coalesce(used_on, named_on) < %(day)s"
        " AND coalesce(named_on, used_on) < %(day)s RETURNING 1",
        {"day": today - KEPT_FOR},
    )


def in_use() -> list[tuple[str, str]]:
    """Each platform with a model that was used or named lately."""
    today = current.today()
    rows = db.rows(
        "SELECT platform, model FROM models_in_use WHERE used_on >= %s OR named_on >= %s"
        " ORDER BY platform, model",
        (today - KEPT_FOR, today - NAMED_FOR),
    )
    return [(row["platform"], row["model"]) for row in rows]


def forget() -> None:
    """Note each use anew, so that this process can use another database."""
    with _lock:
        _noted.clear()


def _note(column: str, models: list[tuple[str, str]], today: date) -> None:
    for platform, model in models:
        if len(model) > _LONGEST or not model.isprintable():
            continue
        db.rows(
            f"INSERT INTO models_in_use AS m (platform, model, {column}) VALUES (%s, %s, %s)"
            f" ON CONFLICT (platform, model) DO UPDATE SET {column} = excluded.{column}"
            f" WHERE m.{column} IS DISTINCT FROM excluded.{column} RETURNING 1",
            (platform, model, today),
        )
