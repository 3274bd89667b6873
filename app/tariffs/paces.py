"""How fast models write: the seconds that each takes for a thousand tokens, as measured lately.

Each process keeps a mean, and writes it at most every KEPT_SECONDS beside the models in use, where
all others read it. With a model that was not used for a week its pace is forgotten (in_use.py).

Outage mode: without PostgreSQL what was measured is kept and written later, and no pace is known.
"""

import threading
import time
from dataclasses import dataclass

import structlog

from app import db
from app.errors import Unavailable
from app.settings import SettingsInvalid
from app.tariffs import current

# Not that of app.telemetry: platforms import this module before the metrics know their folder.
log = structlog.get_logger()

KEPT_SECONDS = 10.0
FRESH_SECONDS = 30.0
"""How long paces are used before they are read again."""
_NEWEST = 0.2
"""The part of the newest measurement in a mean."""
_LATENCY_TOKENS = 100
"""A short answer takes time before its first token, as if it had so many more."""
_SLOWEST = 86_400.0
_MOST = 500
_LONGEST = 300


@dataclass
class _Pace:
    seconds: float
    written_at: float | None = None


_measured: dict[tuple[str, str], _Pace] = {}
_read: dict[str, tuple[float, dict[str, float]]] = {}
_lock = threading.Lock()


def note(platform: str, model: str, seconds: float, tokens: int) -> None:
    """A model has written so many tokens in so many seconds."""
    each = min(seconds, _SLOWEST) * 1000.0 / (max(0, tokens) + _LATENCY_TOKENS)
    if len(model) > _LONGEST or not model.isprintable():
        return
    now = time.monotonic()
    with _lock:
        if len(_measured) >= _MOST:
            _measured.clear()
        pace = _measured.setdefault((platform, model), _Pace(each))
        pace.seconds += (each - pace.seconds) * _NEWEST
        is_due = pace.written_at is None or now - pace.written_at >= KEPT_SECONDS
        if is_due:
            pace.written_at = now
    if is_due:
        _keep(platform, model, pace.seconds)


def of(platform: str) -> dict[str, float]:
    """The seconds that each model takes for a thousand tokens; models without a measure are left
    out. They were read at most FRESH_SECONDS ago."""
    now = time.monotonic()
    with _lock:
        at, known = _read.get(platform, (-FRESH_SECONDS, {}))
    if now - at < FRESH_SECONDS:
        return known
    try:
        rows = db.rows(
            "SELECT model, pace FROM models_in_use WHERE platform = %s AND pace IS NOT NULL",
            (platform,),
        )
    except SettingsInvalid:
        return {}
    except (Unavailable, *db.UNABLE) as err:
        log.warning("paces.not_read", error=str(err).strip()[:200])
        return known
    found = {row["model"]: row["pace"] for row in rows}
    with _lock:
        _read[platform] = now, found
    return found


def forget() -> None:
    """Read and measure everything anew, so that this process can use another database."""
    with _lock:
        _measured.clear()
        _read.clear()


def _keep(platform: str, model: str, seconds: float) -> None:
    try:
        db.rows(
            "INSERT INTO models_in_use AS m (platform, model, used_on, pace)"
            " VALUES (%s, %s, %s, %s) ON CONFLICT (platform, model) DO UPDATE"
            " SET used_on = excluded.used_on,"
            " pace = coalesce((m.pace + excluded.pace) / 2, excluded.pace) RETURNING 1",
            (platform, model, current.today(), seconds),
        )
    except SettingsInvalid:
        return
    except (Unavailable, *db.UNABLE) as err:
        log.warning("pace.not_kept", error=str(err).strip()[:200])
