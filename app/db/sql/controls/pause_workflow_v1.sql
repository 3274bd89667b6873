-- Pauses a workflow: no step of it is claimed or published any more. Outcomes of running steps and
-- webhooks are still recorded. After the commit the caller runs the barrier (a lock FOR UPDATE on
-- the workflow row), which waits for claims in flight. p_children: child workflows are to be paused
-- with it. p_by (who asked) and p_reason are stored in the event. Locks the workflow row FOR NO KEY
-- UPDATE.
-- A workflow that waits in a lane leaves it; when it is resumed, it comes back to its place.
-- verdicts: paused | unchanged (it was paused already) | ended
CREATE OR REPLACE FUNCTION pause_workflow_v1(p_workflow uuid, p_by text, p_reason text, p_children boolean)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
BEGIN
  SELECT completed_at, paused_at, status = 'pending' AND flow IS NOT NULL AS waits INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.completed_at IS NOT NULL THEN RETURN 'ended'; END IF;
  IF w.paused_at IS NOT NULL THEN RETURN 'unchanged'; END IF;
  UPDATE workflows SET paused_at = clock_timestamp(), paused_by = p_by, paused_reason = p_reason,
         pauses_children = p_children
   WHERE id = p_workflow;
  IF w.waits THEN PERFORM leave_flow_v1(p_workflow); END IF;
  PERFORM append_event_v1(p_workflow, 'WorkflowPaused', NULL, jsonb_build_object(
    'by', p_by, 'reason', p_reason, 'children', p_children));
  RETURN 'paused';
END $$;
