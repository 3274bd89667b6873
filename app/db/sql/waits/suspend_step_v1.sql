-- Records that the platform works on p_external_id. The step waits, uses no worker, and polls the
-- platform after p_seconds seconds. Accepted only from the attempt whose fence (the id of its
-- claim) is current. The workflow row is locked first, FOR NO KEY UPDATE.
--
-- If the step already waited for this external id, no event is logged, unless an error came in
-- between. The pause before each further poll is then about as long as the step has lasted, up to
-- an hour, because a webhook usually comes first and thousands of waits must cost little. A random
-- factor keeps waits that started together from polling together. It varies most for the first
-- poll, because most polls are first polls. p_timeout: the seconds from the start of the wait until
-- it times out.
--
-- verdicts:
--   fenced: nothing was recorded.
--   draining: it was recorded, and the workflow is stopping.
--   recorded: it was recorded, and the workflow is not stopping.
CREATE OR REPLACE FUNCTION suspend_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_external_id text, p_seconds double precision, p_timeout double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
  s record;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET status = 'waiting', external_id = p_external_id, error = NULL,
         error_code = NULL, held_since = NULL, tries = 0,
         input = coalesce(p_input, input),
         cost = nullif(coalesce(cost, 0) + p_cost, 0), crashes = 0,
         wake_at = least(coalesce(expires_at, playalter_now() + seconds(p_timeout)),
           playalter_now() + CASE WHEN external_id = p_external_id
           THEN (0.75 + random() / 2) * greatest(seconds(p_seconds),
                  least(interval '1 hour', clock_timestamp() - started_at))
           ELSE (0.75 + random()) * seconds(p_seconds) END),
         expires_at = coalesce(expires_at, playalter_now() + seconds(p_timeout)),
         lease_until = NULL, deadline_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING old.external_id AS previous, new.wake_at, coalesce(new.cost, 0) AS cost,
            old.tries > 0 OR old.error IS NOT NULL AS is_recovered INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF s.previous IS DISTINCT FROM p_external_id OR s.is_recovered THEN
    PERFORM append_event_v1(p_workflow, 'StepSuspended', p_key, jsonb_build_object(
      'external_id', p_external_id, 'cost', s.cost));
  END IF;
  PERFORM wake_by_v1(p_workflow, s.wake_at);
  RETURN CASE w WHEN 'compensating' THEN 'draining' ELSE 'recorded' END;
END $$;
