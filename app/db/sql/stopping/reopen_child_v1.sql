-- Stops a child that has succeeded, because its parent is being undone. This is the only way out of
-- a terminal status. Locks the child's row FOR NO KEY UPDATE.
--
-- verdicts:
--   stopped
--   past_pivot: the child's pivot (p_pivot, the step after which nothing is undone) has succeeded,
--     so the child stays as it is.
--   ended: the workflow has not succeeded, or is not a child of p_parent.
CREATE OR REPLACE FUNCTION reopen_child_v1(
  p_workflow uuid, p_parent uuid, p_error jsonb, p_code text, p_pivot text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
BEGIN
  SELECT status, parent_id INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status <> 'succeeded' OR w.parent_id IS DISTINCT FROM p_parent THEN RETURN 'ended'; END IF;
  IF EXISTS (SELECT FROM steps WHERE workflow_id = p_workflow AND key = p_pivot
                AND status = 'succeeded') THEN
    RETURN 'past_pivot';
  END IF;
  UPDATE workflows SET status = 'compensating', cause = 'cancelled', error = p_error,
         completed_at = NULL, paused_at = NULL, next_wake_at = playalter_now()
   WHERE id = p_workflow;
  PERFORM append_event_v1(p_workflow, 'WorkflowStopping', NULL, jsonb_build_object(
    'cause', 'cancelled', 'code', p_code, 'is_reopened', true));
  RETURN 'stopped';
END $$;
