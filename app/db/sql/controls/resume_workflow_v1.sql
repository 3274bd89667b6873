-- Lets a paused workflow go on. Publishes nothing: the workflow is due now, and the reconciler
-- publishes its steps. A step whose message was used up or held back by the pause is published at
-- once, instead of at its next regular time. p_by (who asked) and p_reason are stored in the event.
-- Locks the workflow row FOR NO KEY UPDATE.
-- verdicts: resumed | unchanged (it was not paused) | ended
CREATE OR REPLACE FUNCTION resume_workflow_v1(p_workflow uuid, p_by text, p_reason text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
BEGIN
  SELECT completed_at, paused_at INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.completed_at IS NOT NULL THEN RETURN 'ended'; END IF;
  IF w.paused_at IS NULL THEN RETURN 'unchanged'; END IF;
  UPDATE workflows SET paused_at = NULL, next_wake_at = playalter_now() WHERE id = p_workflow;
  UPDATE steps SET publish_after = '-infinity'
   WHERE workflow_id = p_workflow AND status IN ('pending', 'unknown')
     AND publish_after > clock_timestamp() AND publish_after < 'infinity';
  PERFORM append_event_v1(p_workflow, 'WorkflowResumed', NULL, jsonb_build_object(
    'by', p_by, 'reason', p_reason));
  RETURN 'resumed';
END $$;
