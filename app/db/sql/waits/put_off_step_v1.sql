-- Makes a running step pending again before its action has run, because too little of its budget or
-- of its user's share of the workers' time is left. p_error says so, and p_code is its code. The
-- step's time-out is moved back by the pause. An event is logged only if the reason has changed, or if
-- the lease of the attempt before has expired: the events may then say that the step is unknown. The
-- caller holds the workflow row FOR NO KEY UPDATE and has checked the fence (the id of the claim).
--
--   p_seconds: the pause. Null: the pause grows with the time for which this has lasted, from a
--     second to a minute.
--   p_is_exact: the pause does not grow.
CREATE OR REPLACE FUNCTION put_off_step_v1(
  p_workflow uuid, p_key text, p_error jsonb, p_code text,
  p_seconds double precision DEFAULT NULL, p_is_exact boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  at timestamptz := clock_timestamp();
  since timestamptz;
  age double precision;
  pause interval;
  s record;
BEGIN
  SELECT held_since INTO since FROM steps
   WHERE workflow_id = p_workflow AND key = p_key AND error_code = p_code;
  since := coalesce(since, at);
  age := extract(epoch FROM at - since);
  pause := seconds(CASE WHEN p_seconds IS NULL
                        THEN least(60, greatest(1, age / 4)) * (0.75 + random() / 4)
                        WHEN p_is_exact THEN p_seconds
                        -- A step that is put off again and again asks ever less often.
                        ELSE greatest(p_seconds, least(3600, age / 2)) END);
  UPDATE steps SET status = 'pending', crashes = 0, lease_until = NULL, deadline_at = NULL,
         error = p_error, error_code = p_code, held_since = since,
         wake_at = playalter_now() + pause, publish_after = at, expires_at = expires_at + pause,
         started_at = CASE WHEN tries > 0 OR external_id IS NOT NULL THEN started_at END
   WHERE workflow_id = p_workflow AND key = p_key
  RETURNING old.error_code AS previous, old.crashes, new.tries, new.generation,
            coalesce(new.cost, 0) AS cost INTO s;
  IF s.previous IS DISTINCT FROM p_code OR s.crashes > 0 THEN
    PERFORM append_event_v1(p_workflow, 'StepRetryScheduled', p_key, jsonb_build_object(
      'code', p_code, 'tries', s.tries, 'generation', s.generation, 'cost', s.cost));
  END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + pause);
END $$;
