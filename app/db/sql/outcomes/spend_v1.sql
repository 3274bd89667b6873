-- Trigger on steps, fired when a step's cost changes. Adds the difference to the workflow's spent,
-- the cost of its platforms in micro-USD. A workflow over its budget is due at once: its steps
-- cannot be claimed any more, and the reconciler stops it. Every transaction that writes a cost
-- holds the workflow row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION spend_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE workflows SET spent = spent + NEW.cost - OLD.cost,
         next_wake_at = CASE WHEN spent + NEW.cost - OLD.cost > budget AND status = 'running'
           THEN least(next_wake_at, playalter_now()) ELSE next_wake_at END
   WHERE id = NEW.workflow_id;
  RETURN NULL;
END $$;
