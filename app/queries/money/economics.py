"""Unit economics: what workflows earn of customers, and what they cost at the platforms.

Customers' money is in its own currencies, and the cost of platforms in micro-USD. They are shown
side by side: neither is exchanged, and currencies are never added together.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.db import begin_read
from app.money.currencies import decimals_of
from app.platform import Json
from app.queries.money.ledger import Entries, selected

GROUPS = {
    "workflow": ("e.workflow_id::text", "w.workflow_id::text"),
    "user": ("e.user_id::text", "w.user_id::text"),
    "definition": ("e.type", "w.type"),
    "version": ("e.type || ' ' || e.version", "w.type || ' ' || w.version"),
    "model": ("u.model", "w.model"),
}
"""By what workflows may be grouped: the SQL of an entry's group and of a workflow's group."""


def economics(
    user_id: UUID, filters: Entries, *, by: str, is_operator: bool = False, limit: int = 100
) -> tuple[list[Json], bool]:
    """What each group has earned and cost, the most expensive first; and whether that is all.

    `since` and `until` limit when money moved and when workflows were created. The key of a group
    is the id or the name by which it is grouped; None for what belongs to no workflow. A group of a
    user has the user's address as `owner`. The cost of an archived workflow contains that of its
    children.

    By `model`, the cost is what the model has cost, and the money is that of the workflows that
    have used it; so the money of a workflow that has used two models is shown for both. Archived
    workflows are not counted.
    """
    entry_group, workflow_group = GROUPS[by]
    condition, given = selected(user_id, filters, is_operator=is_operator)
    statement = _ECONOMICS.format(
        entry_group=entry_group,
        workflow_group=workflow_group,
        entries=condition,
        workflows=_workflows(given),
        used=_USED if by == "model" else "",
        known=_BY_MODEL if by == "model" else _KNOWN,
    )
    with begin_read() as connection:
        rows = connection.execute(text(statement), given | {"limit": limit + 1}).mappings().all()
        owners = _owners(connection, rows) if by == "user" else {}
    groups: dict[Any, Json] = {}
    for row in rows:
        group = groups.setdefault(
            row["key"],
            {
                "key": row["key"],
                "owner": owners.get(row["key"]),
                "workflows": row["workflows"],
                "cost_micro_usd": int(row["cost"]),
                "money": [],
            },
        )
        if row["currency"] is not None:
            group["money"].append(_money(row))
    items = list(groups.values())
    return items[:limit], len(items) <= limit


def _workflows(given: Json) -> str:
    """The condition on a workflow `w` that corresponds to the one on entries."""
    conditions = {
        "workflow_id": "w.workflow_id = :workflow_id",
        "type": "w.type = :type",
        "since": "w.created_at >= :since",
        "until": "w.created_at < :until",
        "user": "w.user_id = :user",
    }
    return " AND ".join(conditions[name] for name in given if name in conditions) or "true"


def _owners(connection: Any, rows: Any) -> dict[str, str]:
    ids = [row["key"] for row in rows if row["key"] is not None]
    found = connection.execute(text(_OWNERS), {"ids": ids}).all()
    return {row.id: row.email for row in found}


_PARTS = ("revenue", "refunds", "refunds_failed", "disputed", "disputes", "fees")


def _money(row: Any) -> Json:
    parts = {name: int(row[name]) for name in _PARTS}
    gone = ("refunds", "disputed", "disputes", "fees")
    net = parts["revenue"] - sum(parts[name] for name in gone)
    currency = row["currency"]
    return {"currency": currency, "decimals": decimals_of(currency), **parts, "net": net}


_KNOWN = """
  SELECT id AS workflow_id, user_id, type, version, created_at, spent FROM workflows
  UNION ALL
  SELECT workflow_id, user_id, type, version, created_at,
         CASE WHEN parent_id IS NULL THEN cost ELSE 0 END FROM archived WHERE state <> 'restored'
"""
_BY_MODEL = """
  SELECT b.workflow_id, f.user_id, f.type, f.version, f.created_at, b.model, b.cost AS spent
    FROM booked_effects AS b JOIN workflows AS f ON f.id = b.workflow_id WHERE b.model IS NOT NULL
"""
_USED = """
    JOIN (SELECT DISTINCT workflow_id, model FROM booked_effects WHERE model IS NOT NULL) AS u
      ON u.workflow_id = e.workflow_id
"""
_OWNERS = "SELECT id::text AS id, email FROM users WHERE id = ANY (cast(:ids AS uuid[]))"
# A refund that failed has given nothing back. Whether the customer was paid otherwise since then,
# by another refund say, the platform does not tell: so it is a part of its own, and not of the net.
# The name of an account of fees begins with that of its platform.
_ECONOMICS = """
WITH money AS (
  SELECT {entry_group} AS key, l.currency,
         coalesce(-sum(l.amount) FILTER (WHERE l.account = 'revenue'), 0) AS revenue,
         coalesce(sum(l.amount) FILTER (WHERE l.account IN ('refunds', 'refunds_failed')), 0)
           AS refunds,
         coalesce(-sum(l.amount) FILTER (WHERE l.account = 'refunds_failed'), 0) AS refunds_failed,
         coalesce(sum(l.amount) FILTER (WHERE l.account = e.platform || '\\:disputed'), 0)
           AS disputed,
         coalesce(sum(l.amount) FILTER (WHERE l.account = 'disputes'), 0) AS disputes,
         coalesce(sum(l.amount) FILTER (WHERE l.account = 'dispute_fees'
                                           OR l.account = e.platform || '\\:fees'), 0) AS fees
    FROM ledger_entries AS e JOIN ledger_lines AS l ON l.entry_id = e.id {used}
   WHERE {entries} AND (l.account IN ('revenue', 'refunds', 'refunds_failed', 'disputes',
                                          'dispute_fees')
                        OR l.account IN (e.platform || '\\:fees', e.platform || '\\:disputed'))
   GROUP BY 1, 2),
known AS ({known}),
costs AS (
  SELECT {workflow_group} AS key, count(DISTINCT w.workflow_id) AS workflows, sum(w.spent) AS cost
    FROM known AS w WHERE {workflows} GROUP BY 1),
groups AS (
  SELECT coalesce(c.key, m.key) AS key, coalesce(c.workflows, 0) AS workflows,
         coalesce(c.cost, 0) AS cost
    FROM costs AS c FULL JOIN (SELECT DISTINCT key FROM money) AS m ON c.key = m.key
   ORDER BY 3 DESC, 1 LIMIT :limit)
SELECT g.*, m.currency, m.revenue, m.refunds, m.refunds_failed, m.disputed, m.disputes, m.fees
  FROM groups AS g LEFT JOIN money AS m ON m.key IS NOT DISTINCT FROM g.key
 ORDER BY g.cost DESC, g.key, m.currency
"""
