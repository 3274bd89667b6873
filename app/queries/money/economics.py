"""Unit economics: what workflows earn of customers, and what they cost at the platforms.

Customers' money is in its own currencies, and the cost of platforms in micro-USD. They are shown
side by side. The margin, which needs both in one currency, is that of USD and of what the payment
platform itself has exchanged with USD: no rate of ours is used.
"""

from fractions import Fraction
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

    `margin_micro_usd` is the net in all currencies less the cost; None if that is not known, and
    then `margin_unknown` says why. The net of another currency than USD is taken at the average
    rate of the exchanges with USD of the group's own money.

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
    items = [each | _margin(each, by) for each in groups.values()]
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


_MICRO_USD_OF_A_CENT = 10_000
_PARTS = ("revenue", "refunds", "refunds_failed", "disputed", "disputes", "fees")


def _money(row: Any) -> Json:
    parts = {name: int(row[name]) for name in _PARTS}
    gone = ("refunds", "disputed", "disputes", "fees")
    net = parts["revenue"] - sum(parts[name] for name in gone)
    currency = row["currency"]
    return {
        "currency": currency,
        "decimals": decimals_of(currency),
        **parts,
        "net": net,
        "net_micro_usd": _in_micro_usd(net, row),
    }


def _in_micro_usd(net: int, row: Any) -> int | None:
    """An amount in micro-USD, at the rate of the exchanges that the ledger knows."""
    if row["currency"] == "USD" or not net:
        return net * _MICRO_USD_OF_A_CENT
    if row["exchanged"] is None:
        return None
    rate = Fraction(int(row["in_usd"]), int(row["exchanged"]))
    return round(net * rate * _MICRO_USD_OF_A_CENT)


def _margin(group: Json, by: str) -> Json:
    unknown = [each["currency"] for each in group["money"] if each["net_micro_usd"] is None]
    why = None
    if by == "model":
        why = "the money is that of whole workflows, and the cost that of the model alone"
    elif unknown:
        why = f"no exchange of {', '.join(unknown)} with USD is booked for this money"
    if why is not None:
        return {"margin_micro_usd": None, "margin_unknown": why}
    earned = sum(each["net_micro_usd"] for each in group["money"])
    return {"margin_micro_usd": earned - group["cost_micro_usd"], "margin_unknown": None}


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
exchanges AS (
  SELECT {entry_group} AS key, c.currency, sum(abs(c.amount)) AS exchanged,
         sum(abs(d.amount)) AS in_usd
    FROM ledger_entries AS e JOIN ledger_lines AS c ON c.entry_id = e.id
    JOIN ledger_lines AS d ON d.entry_id = e.id {used}
   WHERE {entries} AND e.kind = 'exchange' AND c.account = 'exchange' AND d.account = 'exchange'
     AND c.currency <> 'USD' AND d.currency = 'USD'
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
SELECT g.*, m.currency, m.revenue, m.refunds, m.refunds_failed, m.disputed, m.disputes, m.fees,
       x.exchanged, x.in_usd
  FROM groups AS g LEFT JOIN money AS m ON m.key IS NOT DISTINCT FROM g.key
  LEFT JOIN exchanges AS x ON x.key IS NOT DISTINCT FROM g.key AND x.currency = m.currency
 ORDER BY g.cost DESC, g.key, m.currency
"""
