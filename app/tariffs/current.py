"""The prices of this process: what ships, and the operators' rows in the database over it.

Outage mode: without PostgreSQL, the rows that were read last are used, or what ships; so too in a
process that has no database, such as a rehearsal.

An operator's row counts until a shipped row for the same starts later (app/tariffs/book.py).
"""

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import structlog

from app import db
from app.errors import Unavailable
from app.settings import SettingsInvalid
from app.tariffs.book import Cost, PriceBook
from app.tariffs.rows import ANY_TIER, Price, Tariff

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
    read_at: float = -FRESH_SECONDS
    told: dict[tuple[str, str, str], float] = field(default_factory=dict)


_known = _Known()
_lock = threading.Lock()


def today() -> date:
    """The day by which prices are found, in UTC."""
    return datetime.now(UTC).date()


def own_rows() -> list[Price]:
    """The operators' prices, the oldest first. Raises psycopg2's errors."""
    rows = db.rows(f"SELECT {_COLUMNS} FROM prices ORDER BY {_KEY}", ())
    return [Price(**row) for row in rows]


def book(platform: str, shipped: Tariff) -> PriceBook:
    """The prices of a platform, as they were at most FRESH_SECONDS ago."""
    known, now = _known, time.monotonic()
    with _lock:
        is_old = now - known.read_at >= FRESH_SECONDS
        if is_old:
            known.read_at = now
    if is_old:
        # The other threads go on with what is known meanwhile.
        _read(known)
    with _lock:
        if platform not in _known.books:
            own = [row for row in _known.rows if row.platform == platform]
            _known.books[platform] = PriceBook(shipped, own)
        return _known.books[platform]


def _read(known: _Known) -> None:
    try:
        rows = own_rows()
    except SettingsInvalid:
        return
    except (Unavailable, *db.UNABLE) as err:
        log.warning("prices.not_read", error=str(err).strip()[:200])
        return
    with _lock:
        known.rows = rows
        known.books.clear()


def tell(platform: str, cost: Cost) -> None:
    """Tell operators what had no price and was estimated: once an hour in the log of each process,
    and in the database, where `playalter prices` finds it."""
    for item, unit in cost.estimated:
        told = (platform, item, unit)
        with _lock:
            if time.monotonic() - _known.told.get(told, -_TELL_SECONDS) < _TELL_SECONDS:
                continue
            _known.told[told] = time.monotonic()
        log.warning("price.estimated", platform=platform, item=item, unit=unit)
        try:
            db.row("SELECT note_missing_price_v1(%s, %s, %s)", told)
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


def remove(platform: str, item: str, unit: str, starts_on: date, tier: str = ANY_TIER) -> int:
    """Delete an operator's prices for this from this day; the number of rows deleted."""
    rows = db.rows(
        "DELETE FROM prices WHERE platform = %s AND item = %s AND unit = %s AND starts_on = %s"
        " AND tier = %s RETURNING 1",
        (platform, item, unit, starts_on, tier),
    )
    return len(rows)


def gaps() -> list[dict[str, object]]:
    """What had no price when it was used: platform, item, unit, and when it was last noted."""
    return db.rows(
        "SELECT platform, item, unit, noted_at FROM price_gaps"
        " ORDER BY noted_at DESC, platform, item, unit LIMIT 100",
        (),
    )


def forget() -> None:
    """Read everything anew."""
    global _known
    _known = _Known()
