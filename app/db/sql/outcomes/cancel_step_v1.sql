-- Records, while the workflow is stopping, that a step does not run again. Its call has been looked
-- up, or the lookup is left to its compensation; its intents tell what must be undone. Accepted
-- only from the attempt whose fence (the id of its claim) is current. The workflow row is locked
-- first, FOR NO KEY UPDATE.
-- verdicts: fenced (nothing was recorded) | draining (recorded)
CREATE OR REPLACE FUNCTION cancel_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  s record;
BEGIN
  PERFORM 1 FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET status = 'cancelled', input = coalesce(p_input, input),
         cost = nullif(coalesce(cost, 0) + p_cost, 0),
         lease_until = NULL, deadline_at = NULL, finished_at = clock_timestamp()
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING tries, coalesce(cost, 0) AS cost INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  PERFORM append_event_v1(p_workflow, 'StepCancelled', p_key,
                          jsonb_build_object('tries', s.tries, 'cost', s.cost));
  PERFORM wake_by_v1(p_workflow, playalter_now());
  RETURN 'draining';
END $$;
