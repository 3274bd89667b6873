-- Trigger on steps, fired when a step's cost changes. Adds the difference to the workflow's column
-- `spent`: what its calls of platforms have cost, in micro-USD. If the workflow is over its budget
-- now, its steps cannot be claimed any more, and it becomes due, so that the reconciler stops it.
-- The transaction already holds the workflow row FOR NO KEY UPDATE: so does everything that writes
-- a cost.
CREATE OR REPLACE FUNCTION spend_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE workflows SET spent = spent + NEW.cost - OLD.cost,
         next_wake_at = CASE WHEN spent + NEW.cost - OLD.cost > budget AND status = 'running'
           THEN least(next_wake_at, playalter_now()) ELSE next_wake_at END
   WHERE id = NEW.workflow_id;
  RETURN NULL;
END $$;
