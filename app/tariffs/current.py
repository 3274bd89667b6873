"""The prices of this process: what ships, and the operators' rows in the database over it.

Outage mode: without PostgreSQL, the rows that were read last are used, or what ships; so too in a
process that has no database, such as a rehearsal.

An operator's row counts until a shipped row for the same starts later (app/tariffs/book.py).

Days are those of playalter_now(), so that a sandbox whose clock is moved shows what changes then.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import structlog

from app import db
from app.errors import Unavailable
from app.settings import SettingsInvalid
from app.tariffs.book import Cost, PriceBook
from app.tariffs.rows import ANY_TIER, End, Price, Tariff

# Not that of app.telemetry: platforms import this module before the metrics know their folder.
log = structlog.get_logger()

FRESH_SECONDS = 30.0
"""How long rows are used before they are read again."""
_TELL_SECONDS = 3600.0
_COLUMNS = "platform, item, unit, usd, starts_on, tier, context_over, source"
_KEY = "platform, item, unit, tier, context_over, starts_on"


@dataclass
class _Known:
    books: dict[str, PriceBook] = field(default_factory=dict)
    rows: list[Price] = field(default_factory=list)
    ends: list[tuple[str, End]] = field(default_factory=list)
    ahead: timedelta = timedelta()
    read_at: float = -FRESH_SECONDS
    told: dict[tuple[str, str, str], float] = field(default_factory=dict)


_known = _Known()
_lock = threading.Lock()


def today() -> date:
    """The day by which prices are found, in UTC; a moved clock is known after FRESH_SECONDS."""
    _refresh()
    return (datetime.now(UTC) + _known.ahead).date()


def own_rows() -> list[Price]:
    """The operators' prices, the oldest first. Raises psycopg2's errors."""
    rows = db.rows(f"SELECT {_COLUMNS} FROM prices ORDER BY {_KEY}", ())
    return [Price(**row) for row in rows]


def book(platform: str, shipped: Mapping[str, Tariff]) -> PriceBook:
    """The prices of a platform, as they were at most FRESH_SECONDS ago.

    `shipped` are the tariffs of all platforms, by name.
    """
    _refresh()
    with _lock:
        if platform not in _known.books:
            own = [row for row in _known.rows if row.platform == platform]
            others = [row for each in shipped.values() for row in each.prices]
            ends = [end for name, end in _known.ends if name == platform]
            _known.books[platform] = PriceBook(
                shipped.get(platform, Tariff()), own, [*others, *_known.rows], ends
            )
        return _known.books[platform]


def _refresh() -> None:
    known, now = _known, time.monotonic()
    with _lock:
        is_old = now - known.read_at >= FRESH_SECONDS
        if is_old:
            known.read_at = now
    if is_old:
        # The other threads go on with what is known meanwhile.
        _read(known)


def _read(known: _Known) -> None:
    try:
        rows, ends = own_rows(), own_ends()
        clock = db.row("SELECT playalter_now() AS at", ())
    except SettingsInvalid:
        return
    except (Unavailable, *db.UNABLE) as err:
        log.warning("prices.not_read", error=str(err).strip()[:200])
        return
    with _lock:
        known.rows, known.ends = rows, ends
        known.ahead = clock["at"] - datetime.now(UTC) if clock else timedelta()
        known.books.clear()


def tell(platform: str, cost: Cost) -> None:
    """Tell operators what had no price and was estimated, or could not be: once an hour in the log
    of each process, and in the database, where `playalter prices` and `attention` find it."""
    for item, unit in cost.estimated:
        told, is_counted = (platform, item, unit), (item, unit) not in cost.unknown
        with _lock:
            if time.monotonic() - _known.told.get(told, -_TELL_SECONDS) < _TELL_SECONDS:
                continue
            _known.told[told] = time.monotonic()
        if is_counted:
            log.warning("price.estimated", platform=platform, item=item, unit=unit)
        else:
            log.error("price.unknown", platform=platform, item=item, unit=unit)
        try:
            db.row("SELECT note_missing_price_v1(%s, %s, %s, %s)", (*told, is_counted))
        except (Unavailable, *db.UNABLE) as err:
            log.warning("price.gap_not_recorded", error=str(err).strip()[:200])


def keep(price: Price) -> None:
    """Add an operator's price; one for the same from the same day is replaced."""
    db.row(
        "SELECT set_price_v1(%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            price.platform,
            price.item,
            price.unit,
            price.tier,
            price.context_over,
            price.starts_on,
            price.usd,
            price.source,
        ),
    )


def remove(
    platform: str,
    item: str,
    unit: str,
    starts_on: date,
    tier: str = ANY_TIER,
    context_over: int = 0,
) -> int:
    """Delete the operators' price of this from this day; the number of rows deleted, 0 or 1."""
    rows = db.rows(
        "DELETE FROM prices WHERE platform = %s AND item = %s AND unit = %s AND starts_on = %s"
        " AND tier = %s AND context_over = %s RETURNING 1",
        (platform, item, unit, starts_on, tier, context_over),
    )
    return len(rows)


def own_ends() -> list[tuple[str, End]]:
    """The ends of models that operators have recorded, each with its platform."""
    rows = db.rows(
        "SELECT platform, model, ends_on, successor FROM model_ends ORDER BY platform, model", ()
    )
    return [(row["platform"], End(row["model"], row["ends_on"], row["successor"])) for row in rows]


def keep_end(platform: str, end: End) -> None:
    """Record when a model ends; what was recorded of it is replaced."""
    db.row(
        "INSERT INTO model_ends AS e (platform, model, ends_on, successor) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (platform, model) DO UPDATE SET ends_on = excluded.ends_on,"
        " successor = excluded.successor, set_at = clock_timestamp() RETURNING 1",
        (platform, end.model, end.on, end.successor),
    )


def remove_end(platform: str, model: str) -> int:
    """Delete what operators have recorded of the end of a model; the number of rows deleted."""
    rows = db.rows(
        "DELETE FROM model_ends WHERE platform = %s AND model = %s RETURNING 1", (platform, model)
    )
    return len(rows)


def is_first_today(platform: str, model: str) -> bool:
    """Whether nobody has told today that this model ends. From now on, somebody has."""
    told = db.row(
        "INSERT INTO model_warnings AS w (platform, model, told_on) VALUES (%s, %s, %s)"
        " ON CONFLICT (platform, model) DO UPDATE SET told_on = excluded.told_on"
        " WHERE w.told_on <> excluded.told_on RETURNING 1",
        (platform, model, today()),
    )
    return told is not None


def gaps() -> list[dict[str, object]]:
    """What had no price when it was used: platform, item, unit, whether its cost was estimated
    (`is_counted`) or left out, and when it was last noted."""
    return db.rows(
        "SELECT platform, item, unit, is_counted, noted_at FROM price_gaps"
        " ORDER BY is_counted, noted_at DESC, platform, item, unit LIMIT 100",
        (),
    )


def forget() -> None:
    """Read everything anew."""
    global _known
    _known = _Known()
