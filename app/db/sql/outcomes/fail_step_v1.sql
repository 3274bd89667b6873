-- Records that a step has failed and is not retried. The workflow is then stopped and undone,
-- except in two cases: the definition says that a person must decide (p_hold), or the workflow's
-- pivot (p_pivot, the step after which nothing is undone) has succeeded. In these cases the
-- workflow is not stopped, but marked for attention (a person must decide). The failure of a
-- compensation marks the workflow for attention too. Accepted only from the attempt whose fence
-- (the id of its claim) is current. The workflow row is locked first, FOR NO KEY UPDATE.
--
-- p_stop_error: the error of the workflow if it is stopped; it contains the step's key.
--
-- verdicts:
--   fenced: nothing was recorded.
--   draining: the failure was recorded, and the workflow is stopping.
--   recorded: the failure was recorded, and a person decides.
CREATE OR REPLACE FUNCTION fail_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_error jsonb, p_code text, p_hold boolean, p_pivot text, p_stop_error jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
  s record;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET status = 'failed', error = p_error, error_code = p_code,
         input = coalesce(p_input, input),
         cost = nullif(coalesce(cost, 0) + p_cost, 0), tries = tries + 1,
         crashes = 0, lease_until = NULL, deadline_at = NULL, finished_at = clock_timestamp()
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING kind, tries, coalesce(cost, 0) AS cost INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  PERFORM append_event_v1(p_workflow, 'StepFailed', p_key,
                          jsonb_build_object('code', p_code, 'tries', s.tries, 'cost', s.cost));
  IF s.kind <> 'step' THEN
    PERFORM call_person_v1(p_workflow, p_key, 'compensation_failed');
    IF s.kind = 'orphan_undo' THEN RETURN 'recorded'; END IF;
    PERFORM wake_by_v1(p_workflow, playalter_now());
    RETURN 'draining';
  END IF;
  IF w = 'running' AND (p_hold OR EXISTS (
       SELECT FROM steps WHERE workflow_id = p_workflow AND key = p_pivot AND status = 'succeeded'))
  THEN
    PERFORM call_person_v1(p_workflow, p_key, 'step_failed');
    PERFORM wake_by_v1(p_workflow, playalter_now() + interval '5 minutes');
    RETURN 'recorded';
  END IF;
  -- Either the pivot has not succeeded or the workflow is already stopping, so the stop needs no
  -- check of the pivot.
  PERFORM stop_workflow_v1(p_workflow, 'failed', p_stop_error, p_code, NULL, true);
  RETURN 'draining';
END $$;
