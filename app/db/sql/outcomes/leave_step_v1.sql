-- Leaves a step to another worker, because this worker's release or settings cannot run it. The
-- step gets back the status that it had before the claim (p_prior), and its error says why it
-- waits. This is not an outcome: no event is logged, and the step's time-out is moved back by the
-- pause. The pause grows with the time for which this has lasted, up to a minute; its jitter lets
-- other workers take the step. After an hour the workflow is marked for attention once (left_since,
-- left_called_at). Accepted only from the attempt whose fence (the id of its claim) is current. The
-- workflow row is locked first, FOR NO KEY UPDATE.
-- verdicts: fenced (nothing was recorded) | draining (the workflow is stopping) | recorded
CREATE OR REPLACE FUNCTION leave_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_prior text, p_calls jsonb, p_error jsonb,
  p_code text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
  at timestamptz := clock_timestamp();
  since timestamptz;
  called_at timestamptz;
  calls_now boolean;
  pause interval;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  SELECT left_since, left_called_at INTO since, called_at FROM steps
   WHERE workflow_id = p_workflow AND key = p_key AND error_code = p_code;
  since := coalesce(since, at);
  calls_now := called_at IS NULL AND since < at - interval '1 hour';
  pause := seconds(least(60, greatest(4, extract(epoch FROM at - since) / 4))
                   * (0.75 + random() / 4));
  UPDATE steps SET status = p_prior, crashes = 0, lease_until = NULL, deadline_at = NULL,
         error = p_error, error_code = p_code, held_since = NULL, left_since = since,
         left_called_at = CASE WHEN calls_now THEN at ELSE called_at END,
         wake_at = playalter_now() + pause, publish_after = clock_timestamp(),
         expires_at = expires_at + pause,
         started_at = CASE WHEN tries > 0 OR external_id IS NOT NULL OR p_prior <> 'pending'
                           THEN started_at END
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running';
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF calls_now THEN
    PERFORM call_person_v1(p_workflow, p_key, 'no_fitting_worker');
  END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + pause);
  RETURN CASE w WHEN 'compensating' THEN 'draining' ELSE 'recorded' END;
END $$;
