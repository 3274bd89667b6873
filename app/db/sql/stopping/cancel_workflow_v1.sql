-- Stops a workflow because a person asked for it. A second event stores who (p_by) and why
-- (p_reason). Locks, verdicts, and the barrier that the caller must run afterwards are those of
-- stop_workflow_v1.
CREATE OR REPLACE FUNCTION cancel_workflow_v1(
  p_workflow uuid, p_error jsonb, p_code text, p_pivot text, p_undoes boolean, p_by text, p_reason text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  found text := stop_workflow_v1(p_workflow, 'cancelled', p_error, p_code, p_pivot, p_undoes);
BEGIN
  IF found = 'stopped' THEN
    PERFORM append_event_v1(p_workflow, 'CancelRequested', NULL, jsonb_build_object(
      'by', p_by, 'reason', p_reason, 'undoes', p_undoes));
  END IF;
  RETURN found;
END $$;
