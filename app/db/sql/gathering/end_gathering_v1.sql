-- Ends the gathering of a workflow, so that no further start joins it. p_is_due: it starts now. The
-- caller holds the workflow's row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION end_gathering_v1(p_workflow uuid, p_is_due boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  at CONSTANT timestamptz := playalter_now();
BEGIN
  DELETE FROM start_gatherings WHERE workflow_id = p_workflow;
  IF p_is_due THEN
    UPDATE workflows SET starts_at = least(starts_at, at), next_wake_at = least(next_wake_at, at)
     WHERE id = p_workflow;
  END IF;
END $$;
