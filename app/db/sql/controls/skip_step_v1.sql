-- Asks that a step be skipped. The worker that claims the step records it as skipped, so that its
-- successors are released in the usual way. A step that is not due yet is skipped when it is.
-- p_pivot: the key of the workflow's pivot, the step after which nothing is undone. p_person:
-- actions whose open calls (calls of unknown outcome) only a person can resolve. p_by (who asked)
-- and p_reason are stored in the event. Locks the workflow row FOR NO KEY UPDATE, then the step's
-- row.
--
-- verdicts:
--   due: the caller publishes the step.
--   paused: the step is due when the workflow is resumed.
--   later: the step is not released yet, and is skipped then.
--   unchanged: the skip was asked for earlier.
--   not_running, no_step, undo (it is a compensation), shape (it only orders other steps),
--     pivot_sent (it is the pivot, and its call was sent), tolerated (its failure was tolerated),
--     or the step's status: nothing was done.
CREATE OR REPLACE FUNCTION skip_step_v1(
  p_workflow uuid, p_key text, p_by text, p_reason text, p_pivot text, p_person text[],
  p_republish double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
  s record;
  due text := 'later';
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status <> 'running' THEN RETURN 'not_running'; END IF;
  SELECT status, kind, role, is_tolerated, skip_requested, publish_after INTO s FROM steps
   WHERE workflow_id = p_workflow AND key = p_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN 'no_step'; END IF;
  IF s.kind IN ('undo', 'orphan_undo') THEN RETURN 'undo'; END IF;
  IF s.role = 'shape' THEN RETURN 'shape'; END IF;
  IF s.status NOT IN ('pending', 'waiting', 'failed') THEN RETURN s.status; END IF;
  IF s.status = 'failed' AND s.is_tolerated THEN
    RETURN 'tolerated';
  END IF;
  IF s.skip_requested THEN RETURN 'unchanged'; END IF;
  -- A skipped pivot counts as not made. A later stop would then undo steps, although nothing may be
  -- undone after the pivot's call.
  IF p_key = p_pivot AND EXISTS (
       SELECT FROM intents WHERE workflow_id = p_workflow AND step_key = p_key
          AND (resolution IS NULL OR resolution = 'accepted')) THEN
    RETURN 'pivot_sent';
  END IF;
  UPDATE steps SET status = 'pending', skip_requested = true, error = NULL,
         error_code = NULL, held_since = NULL
   WHERE workflow_id = p_workflow AND key = p_key;
  PERFORM append_event_v1(p_workflow, 'StepSkipRequested', p_key, jsonb_build_object(
    'by', p_by, 'reason', p_reason));
  IF s.publish_after IS NOT NULL THEN due := make_due_v1(p_workflow, p_key, p_republish); END IF;
  PERFORM settle_attention_v1(p_workflow, p_person);
  RETURN due;
END $$;
