"""The invariants that need the plans of the definitions too: 6 and 12."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from app.platform import Action, Json
from chains import registry
from chains.actions import actions
from chains.language.definition import Map
from chains.plans.plan import CHILD, Plan
from tests.invariants.rules import CHOSEN, Broken

Rows = Callable[[str, tuple[Any, ...]], list[Json]]
"""Runs a statement with positional parameters; `app.db.rows` is one."""

_UNDOABLE = f"""
SELECT w.id, w.type, w.version, s.key, s.action, s.status, s.input,
       EXISTS (SELECT FROM intents i WHERE i.workflow_id = w.id AND i.step_key = s.key
                  AND i.resolution IS DISTINCT FROM 'never') AS has_effect,
       EXISTS (SELECT FROM steps u WHERE u.workflow_id = w.id AND u.of_key = s.key
                  AND u.kind = 'undo' AND u.status = 'succeeded') AS is_undone,
       c.id AS child, c.type AS child_type, c.version AS child_version, c.status AS child_status,
       ARRAY (SELECT key FROM steps d WHERE d.workflow_id = c.id
                 AND d.status = 'succeeded') AS child_done
  FROM ({CHOSEN}) AS w JOIN steps s ON s.workflow_id = w.id
  LEFT JOIN workflows c ON c.parent_id = w.id AND c.parent_key = s.key
 WHERE w.status IN ('compensated', 'cancelled', 'failed') AND w.undoes AND s.kind = 'step'
   AND s.adopted_from IS NULL
"""


def not_undone(rows: Rows, workflows: list[UUID] | None) -> list[Broken]:
    """6: what stands although its workflow has ended undone."""
    known = actions()
    found = []
    for row in rows(_UNDOABLE, (workflows, workflows)):
        plan = registry.plan(row["type"], row["version"])
        if _is_left(row, plan, known):
            found.append(Broken(6, row["id"], f"{row['key']} was not undone"))
        if _child_is_left(row):
            found.append(Broken(6, row["id"], f"child {row['child']} is {row['child_status']}"))
    return found


def _is_left(row: Json, plan: Plan, known: Mapping[str, Action]) -> bool:
    step = plan.step(row["key"])
    if row["is_undone"] or getattr(step.node, "compensation", None) == "none":
        return False
    if step.other_compensation is not None:
        return bool(row["has_effect"] or row["status"] == "succeeded")
    return bool(row["has_effect"] and known[row["action"]].compensate is not None)


def _child_is_left(row: Json) -> bool:
    if row["action"] != CHILD or row["child"] is None or (row["input"] or {}).get("is_left"):
        return False
    pivot = registry.plan(row["child_type"], row["child_version"]).pivot
    is_final = pivot is not None and pivot in row["child_done"]
    return not is_final and row["child_status"] in {"running", "compensating", "succeeded"}


_IN_FLIGHT = f"""
SELECT id, type, version, key,
       count(*) FILTER (WHERE is_released AND NOT is_settled) AS items FROM (
  SELECT w.id, w.type, w.version, j.key,
         split_part(substr(s.key, length(j.key) + 2), ']', 1) AS item,
         bool_or(s.publish_after IS NOT NULL) AS is_released,
         bool_or(s.join_key = j.key AND s.status IN ('succeeded', 'skipped', 'failed'))
           IS TRUE AS is_settled
    FROM ({CHOSEN}) AS w
    JOIN steps j ON j.workflow_id = w.id AND j.item_count IS NOT NULL AND j.remaining IS NOT NULL
    JOIN steps s ON s.workflow_id = w.id AND starts_with(s.key, j.key || '[')
   WHERE w.status = 'running' GROUP BY 1, 2, 3, 4, 5) AS items
 GROUP BY 1, 2, 3, 4
"""


def over_window(rows: Rows, workflows: list[UUID] | None) -> list[Broken]:
    """12: maps with more items in flight than they may have."""
    found = []
    for row in rows(_IN_FLIGHT, (workflows, workflows)):
        block = registry.plan(row["type"], row["version"]).step(row["key"]).block
        if isinstance(block, Map) and row["items"] > block.max_concurrency:
            found.append(Broken(12, row["id"], f"{row['key']}: {row['items']} items in flight"))
    return found
