-- Ends the gathering of a workflow that is due, so that what was gathered does not change any more.
-- Returns false if the workflow may not begin now: it is not pending, is paused, or is not due. Locks
-- the workflow's row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION close_gathering_v1(p_workflow uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  w record;
BEGIN
  SELECT status, paused_at, starts_at INTO w FROM workflows WHERE id = p_workflow
     FOR NO KEY UPDATE;
  IF NOT FOUND OR w.status <> 'pending' OR w.paused_at IS NOT NULL OR w.starts_at > playalter_now()
  THEN RETURN false; END IF;
  PERFORM end_gathering_v1(p_workflow, false);
  RETURN true;
END $$;
