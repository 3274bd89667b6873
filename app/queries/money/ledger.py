"""The ledger of customers' money: the balance of each account, and the entries."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.db import begin_read
from app.money.currencies import decimals_of
from app.platform import Json


@dataclass(frozen=True)
class Entries:
    """The entries that are asked for; a filter of None lets every entry pass.

    `since` and `until` limit when the facts occurred; `until` itself is not included.
    """

    workflow_id: UUID | None = None
    type: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_CONDITIONS = {
    "workflow_id": "e.workflow_id = :workflow_id",
    "type": "e.type = :type",
    "kind": "e.kind = :kind",
    "since": "e.occurred_at >= :since",
    "until": "e.occurred_at < :until",
}


def selected(user_id: UUID, filters: Entries, *, is_operator: bool) -> tuple[str, Json]:
    """The SQL condition on an entry `e` of the user that matches, and its values."""
    given = {name: value for name, value in vars(filters).items() if value is not None}
    conditions = [_CONDITIONS[name] for name in given]
    if not is_operator:
        conditions.append("e.user_id = :user")
        given["user"] = user_id
    return " AND ".join(conditions) or "true", given


def balances(user_id: UUID, filters: Entries, *, is_operator: bool = False) -> list[Json]:
    """The balance of each account in each currency, without those that are 0.

    `amount` is in minor units; positive is a debit. `decimals` are those of the currency.
    """
    condition, given = selected(user_id, filters, is_operator=is_operator)
    with begin_read() as connection:
        rows = connection.execute(text(_BALANCES.format(condition=condition)), given).all()
    return [
        {
            "account": row.account,
            "currency": row.currency,
            "amount": int(row.amount),
            "decimals": decimals_of(row.currency),
        }
        for row in rows
    ]


_BALANCES = """
SELECT l.account, l.currency, sum(l.amount) AS amount
  FROM ledger_entries AS e JOIN ledger_lines AS l ON l.entry_id = e.id
 WHERE {condition}
 GROUP BY l.account, l.currency HAVING sum(l.amount) <> 0 ORDER BY l.account, l.currency
"""


def entries(
    user_id: UUID,
    filters: Entries,
    *,
    is_operator: bool = False,
    before: UUID | None = None,
    limit: int = 50,
) -> tuple[list[Json], UUID | None]:
    """A page of entries with their lines, the last booked first.

    `before` is the id of the last entry of the previous page. The second value is that of this
    page, None if no page follows.
    """
    condition, given = selected(user_id, filters, is_operator=is_operator)
    if before is not None:
        condition += " AND e.id < :before"
        given["before"] = before
    with begin_read() as connection:
        rows = connection.execute(
            text(_ENTRIES.format(condition=condition)), given | {"limit": limit + 1}
        ).all()
        shown = rows[:limit]
        lines = connection.execute(text(_LINES), {"ids": [row.id for row in shown]}).all()
    of: dict[UUID, list[Json]] = {}
    for line in lines:
        of.setdefault(line.entry_id, []).append(_line(line))
    following = shown[-1].id if len(rows) > limit else None
    return [{**row._mapping, "lines": of.get(row.id, [])} for row in shown], following


def _line(row: Any) -> Json:
    currency = row.currency
    return {
        "account": row.account,
        "currency": currency,
        "amount": row.amount,
        "decimals": decimals_of(currency),
    }


_ENTRIES = """
SELECT e.id, e.kind, e.platform, e.fact_key AS fact, e.of_key AS of, e.workflow_id,
       e.step_key AS step, e.type, e.version, e.occurred_at, e.recorded_at, e.source, e.stage,
       e.external_ids
  FROM ledger_entries AS e WHERE {condition} ORDER BY e.id DESC LIMIT :limit
"""
_LINES = """
SELECT entry_id, account, currency, amount FROM ledger_lines WHERE entry_id = ANY (:ids)
 ORDER BY entry_id, amount DESC, account
"""
