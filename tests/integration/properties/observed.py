"""Triggers that note what happens to rows, transaction by transaction, in a test's database."""

from typing import Any
from uuid import UUID

from app import db
from app.states import LEFT, STEP_TRANSITIONS, WORKFLOW_TRANSITIONS, Transition
from tests.invariants import Broken

_INSTALL = """
CREATE TABLE IF NOT EXISTS observed (
  id bigserial PRIMARY KEY, xid xid8 NOT NULL DEFAULT pg_current_xact_id(), kind text NOT NULL,
  workflow_id uuid NOT NULL, key text, before text, after text, undo boolean,
  workflow_status text, is_paused boolean, skipped jsonb, is_left boolean);

CREATE OR REPLACE FUNCTION observe_workflow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' OR NEW.status <> OLD.status THEN
    INSERT INTO observed (kind, workflow_id, before, after) VALUES
      ('workflow', NEW.id, CASE WHEN TG_OP = 'INSERT' THEN '[*]' ELSE OLD.status END, NEW.status);
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER observe AFTER INSERT OR UPDATE ON workflows
  FOR EACH ROW EXECUTE FUNCTION observe_workflow();

CREATE OR REPLACE FUNCTION observe_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  w record;
  came_from text := CASE WHEN TG_OP = 'INSERT' THEN '[*]' ELSE OLD.status END;
BEGIN
  SELECT status, paused_at IS NOT NULL AS is_paused INTO w FROM workflows
   WHERE id = NEW.workflow_id;
  IF came_from <> NEW.status THEN
    INSERT INTO observed (kind, workflow_id, key, before, after, undo, workflow_status, is_paused,
                          is_left)
    VALUES ('step', NEW.workflow_id, NEW.key, came_from, NEW.status, NEW.kind <> 'step', w.status,
            w.is_paused, coalesce(NEW.left_since IS NOT NULL AND NEW.error_code = 'action_differs'
              OR NEW.error_code IN ('waits_for_budget', 'over_budget', 'waits_for_share',
                                     'waits_for_allowance')
                 AND NEW.error_code = OLD.error_code, false));
  END IF;
  IF NEW.publish_after > clock_timestamp()
     AND (TG_OP = 'INSERT' OR NEW.publish_after IS DISTINCT FROM OLD.publish_after) THEN
    INSERT INTO observed (kind, workflow_id, key, after, workflow_status, is_paused)
    VALUES ('win', NEW.workflow_id, NEW.key, NEW.status, w.status, w.is_paused);
  END IF;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER observe AFTER INSERT OR UPDATE ON steps
  FOR EACH ROW EXECUTE FUNCTION observe_step();

CREATE OR REPLACE FUNCTION observe_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO observed (kind, workflow_id, key, after, skipped)
  SELECT 'event', NEW.workflow_id, b ->> 'step', b ->> 'type', b -> 'data' -> 'skipped'
    FROM (SELECT NEW.body::jsonb AS b) AS body;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER observe AFTER INSERT ON events
  FOR EACH ROW EXECUTE FUNCTION observe_event();

CREATE OR REPLACE FUNCTION observe_budget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO observed (kind, workflow_id, before, after)
  SELECT 'overspent', workflow_id, amount::text, spent || ' + ' || reserved FROM budgets
   WHERE workflow_id = NEW.workflow_id AND applies AND spent + reserved > amount;
  RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS observe ON budgets;
CREATE CONSTRAINT TRIGGER observe AFTER INSERT OR UPDATE ON budgets DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION observe_budget();
"""

Pair = tuple[str, str]


def install() -> None:
    """Note from now on."""
    db.row(_INSTALL, ())


def transitions(kind: str) -> set[Pair]:
    """Every change of status so far, of `workflow` or `step`."""
    rows = db.rows("SELECT DISTINCT before, after FROM observed WHERE kind = %s", (kind,))
    return {(row["before"], row["after"]) for row in rows}


_MARKS = """
SELECT t.kind, t.workflow_id, t.key, t.before, t.after, t.is_left,
       array_agg(DISTINCT e.after) FILTER (WHERE e.id IS NOT NULL) AS events
  FROM observed t LEFT JOIN observed e ON e.kind = 'event' AND e.xid = t.xid
   AND e.workflow_id = t.workflow_id
   AND (t.kind = 'workflow' OR t.before = '[*]' OR e.key = t.key OR e.key || '~undo' = t.key
        OR e.skipped ? t.key)
 WHERE t.kind IN ('workflow', 'step') AND t.id > %s GROUP BY t.id
"""


def unmarked(since: int = 0) -> list[dict[str, Any]]:
    """Changes of status, after the note `since`, that are not in the tables or whose transaction
    lacks their event."""
    allowed = {
        "workflow": {(each.before, each.after): each for each in WORKFLOW_TRANSITIONS},
        "step": {(each.before, each.after): each for each in STEP_TRANSITIONS},
    }
    return [
        row
        for row in db.rows(_MARKS, (since,))
        if not _is_marked(allowed[row["kind"]].get((row["before"], row["after"])), row)
    ]


def _is_marked(transition: Transition | None, row: dict[str, Any]) -> bool:
    if transition is None:
        return False
    is_silent = row["is_left"] if transition.silent == LEFT else transition.silent is not None
    return is_silent or bool(set(transition.events) & set(row["events"] or ()))


_CLAIMED = (
    "SELECT workflow_id, key, workflow_status, is_paused FROM observed WHERE kind = 'step'"
    " AND after = 'running' AND id > %s AND (is_paused OR before = 'pending' AND NOT undo"
    " AND workflow_status <> 'running')"
)


def forbidden_claims(since: int) -> list[Broken]:
    """7 and 15, where nothing runs at the same time: claims while stopping or paused."""
    return [
        Broken(15 if row["is_paused"] else 7, row["workflow_id"], f"{row['key']} was claimed")
        for row in db.rows(_CLAIMED, (since,))
    ]


def overspent(since: int = 0) -> list[Broken]:
    """19, at every commit: budgets of which more was spent and reserved than there is."""
    rows = db.rows("SELECT * FROM observed WHERE kind = 'overspent' AND id > %s", (since,))
    return [Broken(19, row["workflow_id"], f"{row['after']} > {row['before']}") for row in rows]


def wins(workflows: list[UUID]) -> dict[tuple[UUID, str], int]:
    """How often each step's publish_after was won."""
    rows = db.rows(
        "SELECT workflow_id, key, count(*) AS n FROM observed WHERE kind = 'win'"
        " AND workflow_id = ANY (%s) GROUP BY 1, 2",
        (workflows,),
    )
    return {(row["workflow_id"], row["key"]): row["n"] for row in rows}


def newest() -> int:
    """The number of the newest note."""
    row = db.row("SELECT coalesce(max(id), 0) AS id FROM observed", ())
    assert row is not None
    return int(row["id"])
