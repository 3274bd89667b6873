-- Records that a vendor works on p_external_id: the step waits and holds no worker slot, and is
-- polled in p_seconds. Accepted only from the holder of the fence. The workflow row is the first
-- lock, FOR NO KEY UPDATE.
--
-- A further wait for the same id is no event, and each poll that found nothing is followed by one
-- about twice as far away, up to an hour: a webhook comes first, and thousands of waits must cost
-- little. The jitter keeps waits that began together from asking together; it is widest for the
-- first polls, which are the most. p_timeout: when the wait is given up, in seconds from its
-- beginning.
-- verdicts: fenced | draining (recorded, and the workflow is stopping) | recorded
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
         input = coalesce(p_input, input), cost = cost + p_cost, crashes = 0,
         wake_at = least(coalesce(expires_at, playalter_now() + seconds(p_timeout)),
           playalter_now() + CASE WHEN external_id = p_external_id
           THEN (0.75 + random() / 2) * greatest(seconds(p_seconds),
                  least(interval '1 hour', clock_timestamp() - started_at))
           ELSE (0.75 + random()) * seconds(p_seconds) END),
         expires_at = coalesce(expires_at, playalter_now() + seconds(p_timeout)),
         lease_until = NULL, deadline_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING old.external_id AS previous, new.wake_at, new.cost,
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
