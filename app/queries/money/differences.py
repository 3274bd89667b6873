"""Where the ledger and the platforms' statements differ. Only operators read this."""

from uuid import UUID

from sqlalchemy import text

from app.db import begin_read
from app.money.currencies import decimals_of
from app.platform import Json


def differences(
    state: str, *, before: UUID | None = None, limit: int = 50
) -> tuple[list[Json], UUID | None]:
    """A page of the differences that are open, or explained; the last found first.

    `ours` and `theirs` are {amount, currency, decimals}, None where one side has nothing. `before`
    is the id of the last one of the previous page. The second value is that of this page, None if
    no page follows.
    """
    with begin_read() as connection:
        rows = connection.execute(
            text(_DIFFERENCES),
            {"is_open": state == "open", "before": before, "limit": limit + 1},
        ).all()
    following = rows[limit - 1].id if len(rows) > limit else None
    return [
        {
            **{name: value for name, value in row._mapping.items() if "currency" not in name},
            "ours": _money(row.ours, row.ours_currency),
            "theirs": _money(row.theirs, row.theirs_currency),
        }
        for row in rows[:limit]
    ], following


def open_differences() -> dict[str, int]:
    """How many differences are open, by platform."""
    with begin_read() as connection:
        return {row.platform: row.number for row in connection.execute(text(_OPEN))}


def uncompared_days() -> dict[str, int]:
    """How many days are over for an hour and not compared, or whose balance is not compared, by
    platform, since its first day."""
    with begin_read() as connection:
        return {row.platform: row.number for row in connection.execute(text(_UNCOMPARED))}


def _money(amount: int | None, currency: str | None) -> Json | None:
    if amount is None or currency is None:
        return None
    return {"amount": amount, "currency": currency, "decimals": decimals_of(currency)}


_DIFFERENCES = """
SELECT d.id, d.day, d.kind, d.about, d.platform, d.external_id, d.found_at, d.explained_at,
       d.explained_by, d.note, d.ours, d.ours_currency, d.theirs, d.theirs_currency, e.workflow_id
  FROM ledger_differences AS d LEFT JOIN ledger_entries AS e ON e.fact_key = d.about
 WHERE (d.explained_at IS NULL) = :is_open
   AND (cast(:before AS uuid) IS NULL OR d.id < cast(:before AS uuid))
 ORDER BY d.id DESC LIMIT :limit
"""
_OPEN = """
SELECT platform, count(*) AS number FROM ledger_differences WHERE explained_at IS NULL
 GROUP BY platform
"""
_UNCOMPARED = """
SELECT d.platform, greatest(0, past.days_to - min(d.day) - count(*) FILTER (
         WHERE d.completed_at IS NOT NULL AND d.balance_compared_at IS NOT NULL
           AND d.day < past.days_to)) AS number
  FROM ledger_days AS d,
       (SELECT ((playalter_now() - interval '1 hour') AT TIME ZONE 'UTC')::date AS days_to) AS past
 GROUP BY d.platform, past.days_to
"""
