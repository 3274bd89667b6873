-- Trigger on workflows, steps, users, projects and definitions: refuses to delete a row that rows
-- of the hot tables refer to. The hot tables have no foreign keys to these rows: to check and lock
-- the other row at each insert took a tenth of the time of a step. Only deletes need this guard,
-- because rows are inserted only by functions that hold the workflow's row.
CREATE OR REPLACE FUNCTION is_not_needed_v1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  is_needed boolean;
BEGIN
  IF TG_TABLE_NAME = 'workflows' THEN
    is_needed := EXISTS (SELECT FROM events WHERE workflow_id = OLD.id)
      OR EXISTS (SELECT FROM steps WHERE workflow_id = OLD.id);
  ELSIF TG_TABLE_NAME = 'steps' THEN
    is_needed := EXISTS (
      SELECT FROM intents WHERE workflow_id = OLD.workflow_id AND step_key = OLD.key);
  ELSIF TG_TABLE_NAME = 'users' THEN
    is_needed := EXISTS (SELECT FROM workflows WHERE user_id = OLD.id)
      OR EXISTS (SELECT FROM archived WHERE user_id = OLD.id)
      OR EXISTS (SELECT FROM incoming_events WHERE user_id = OLD.id);
  ELSIF TG_TABLE_NAME = 'projects' THEN
    is_needed := EXISTS (SELECT FROM workflows WHERE project_id = OLD.id)
      OR EXISTS (SELECT FROM archived WHERE project_id = OLD.id)
      OR EXISTS (SELECT FROM incoming_events WHERE project_id = OLD.id);
  ELSE
    PERFORM pg_advisory_xact_lock(definition_lock_v1(OLD.name, OLD.version));
    is_needed := EXISTS (SELECT FROM workflows WHERE type = OLD.name AND version = OLD.version)
      OR EXISTS (SELECT FROM archived WHERE type = OLD.name AND version = OLD.version);
  END IF;
  IF is_needed THEN
    -- The row itself is left out: it may hold an address or an input, and this text is logged.
    RAISE EXCEPTION '% is still needed: other rows belong to this row', TG_TABLE_NAME
      USING ERRCODE = 'foreign_key_violation';
  END IF;
  RETURN OLD;
END $$;
