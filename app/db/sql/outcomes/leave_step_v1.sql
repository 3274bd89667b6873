-- Leaves a step to another worker, because this worker's release cannot run it: the step becomes
-- what it was before the claim (p_prior), and its error says why it waits. This is no outcome, so
-- there is no event, and the step's own time does not run meanwhile. The pauses grow with the time
-- that it lasts, up to a minute; their jitter brings the step to other workers. After an hour a
-- person is called, once. Accepted only from the holder of the fence. The workflow row is the first
-- lock, FOR NO KEY UPDATE.
-- verdicts: fenced | draining (the workflow is stopping) | recorded
CREATE OR REPLACE FUNCTION leave_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_prior text, p_calls jsonb, p_error jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
  at double precision := extract(epoch FROM clock_timestamp());
  since double precision;
  pause interval;
  was_told boolean;
  is_long boolean;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  SELECT (error ->> 'waits_since')::double precision, error ? 'is_for_a_person'
    INTO since, was_told FROM steps
   WHERE workflow_id = p_workflow AND key = p_key AND error ->> 'code' = p_error ->> 'code';
  since := coalesce(since, at);
  is_long := coalesce(was_told, false) OR at - since > 3600;
  pause := seconds(least(60, greatest(4, (at - since) / 4)) * (0.75 + random() / 4));
  UPDATE steps SET status = p_prior, crashes = 0, lease_until = NULL, deadline_at = NULL,
         error = p_error || jsonb_build_object('waits_since', since)
           || CASE WHEN is_long THEN '{"is_for_a_person": true}' ELSE '{}' END::jsonb,
         wake_at = playalter_now() + pause, publish_after = clock_timestamp(),
         expires_at = expires_at + pause,
         started_at = CASE WHEN tries > 0 OR external_id IS NOT NULL OR p_prior <> 'pending'
                           THEN started_at END
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running';
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF is_long AND NOT coalesce(was_told, false) THEN
    PERFORM call_person_v1(p_workflow, p_key, 'no_fitting_worker');
  END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + pause);
  RETURN CASE w WHEN 'compensating' THEN 'draining' ELSE 'recorded' END;
END $$;
