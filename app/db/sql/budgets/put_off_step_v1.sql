-- Makes a running step pending again, because too little of its budget is left. p_error says so, and
-- p_code is its code. The step's time-out is moved back by the pause. An event is logged only if the
-- reason has changed. The caller, reserve_v1, holds the workflow row FOR NO KEY UPDATE and has
-- checked the fence (the id of the claim).
CREATE OR REPLACE FUNCTION put_off_step_v1(
  p_workflow uuid, p_key text, p_error jsonb, p_code text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  at timestamptz := clock_timestamp();
  since timestamptz;
  pause interval;
  s record;
BEGIN
  SELECT held_since INTO since FROM steps
   WHERE workflow_id = p_workflow AND key = p_key AND error_code = p_code;
  since := coalesce(since, at);
  pause := seconds(least(60, greatest(1, extract(epoch FROM at - since) / 4))
                   * (0.75 + random() / 4));
  UPDATE steps SET status = 'pending', crashes = 0, lease_until = NULL, deadline_at = NULL,
         error = p_error, error_code = p_code, held_since = since,
         wake_at = playalter_now() + pause, publish_after = at, expires_at = expires_at + pause,
         started_at = CASE WHEN tries > 0 OR external_id IS NOT NULL THEN started_at END
   WHERE workflow_id = p_workflow AND key = p_key
  RETURNING old.error_code AS previous, new.tries, new.generation, new.cost INTO s;
  IF s.previous IS DISTINCT FROM p_code THEN
    PERFORM append_event_v1(p_workflow, 'StepRetryScheduled', p_key, jsonb_build_object(
      'code', p_code, 'tries', s.tries, 'generation', s.generation, 'cost', s.cost));
  END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + pause);
END $$;
