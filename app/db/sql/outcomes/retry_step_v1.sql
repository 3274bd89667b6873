-- Records that an attempt failed without an effect. The step is pending again and due after
-- p_seconds seconds. Accepted only from the attempt whose fence (the id of its claim) is current.
-- The workflow row is locked first, FOR NO KEY UPDATE.
--
--   p_new_generation: the platform keeps the failure under the old idempotency key, so the next
--     attempt belongs to a new generation, which has new keys.
--   p_timeout: the step's time-out in seconds from its first claim; null for none.
--   p_is_try: false if the failure says nothing about the step: a store of ours was full or
--     unavailable, or the platform serves no call of our account now. The attempt is then not
--     counted. Its pauses grow with the time for which this has lasted, up to a minute or to
--     p_seconds. held_since stores when it began; after an hour the workflow is marked for
--     attention (see is_held_off_v1).
--   p_attention: why the workflow is marked for attention at once, when the step begins to be held
--     for this failure; null if it is not. It is not marked again while that lasts.
--   p_is_turn: true if our own limiter refused the call and said p_seconds: the step's turn comes
--     then. The pause does not grow, and such a wait does not begin held_since: the pauses after a
--     platform's own refusal grow with the time since the first of these. Of such waits, which may
--     be short and many, only the first logs an event, unless the attempt has cost something or the
--     lease of the one before has expired: the events may then say that the step is unknown.
--
-- verdicts:
--   fenced: nothing was recorded.
--   timed_out: the next attempt would come after the step's time-out; nothing was recorded.
--   draining: it was recorded, and the workflow is stopping.
--   recorded: it was recorded, and the workflow is not stopping.
CREATE OR REPLACE FUNCTION retry_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_error jsonb, p_code text, p_seconds double precision, p_new_generation boolean,
  p_timeout double precision, p_is_try boolean, p_attention text DEFAULT NULL,
  p_is_turn boolean DEFAULT false)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
  s record;
  since timestamptz;
  is_first boolean := false;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF NOT p_is_try THEN
    SELECT held_since INTO since FROM steps
     WHERE workflow_id = p_workflow AND key = p_key AND error_code = p_code;
  END IF;
  IF NOT (p_is_try OR p_is_turn) THEN
    is_first := since IS NULL;
    since := coalesce(since, clock_timestamp());
    p_seconds := greatest(p_seconds,
                          least(60, extract(epoch FROM clock_timestamp() - since) / 4));
  END IF;
  IF p_timeout IS NOT NULL THEN
    UPDATE steps SET expires_at = moved_time(started_at) + seconds(p_timeout)
     WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND expires_at IS NULL;
    IF EXISTS (SELECT FROM steps WHERE workflow_id = p_workflow AND key = p_key
                  AND fence = p_fence AND expires_at < playalter_now() + seconds(p_seconds)) THEN
      RETURN 'timed_out';
    END IF;
  END IF;
  UPDATE steps SET status = 'pending', tries = tries + p_is_try::integer, error = p_error,
         error_code = p_code, held_since = since, input = coalesce(p_input, input),
         cost = nullif(coalesce(cost, 0) + p_cost, 0), crashes = 0,
         generation = generation + p_new_generation::integer,
         wake_at = playalter_now() + seconds(p_seconds), publish_after = clock_timestamp(),
         lease_until = NULL, deadline_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING new.tries, new.generation, coalesce(new.cost, 0) AS cost, old.crashes,
            coalesce(old.reserved, 0) AS had_reserved, old.error_code AS previous INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_new_generation THEN
    PERFORM disown_effects_v1(p_workflow, p_key, greatest(s.had_reserved - p_cost, 0));
  END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF NOT p_is_turn OR p_new_generation OR p_cost <> 0 OR s.crashes > 0
     OR s.previous IS DISTINCT FROM p_code THEN
    PERFORM append_event_v1(p_workflow, 'StepRetryScheduled', p_key, jsonb_build_object(
      'code', p_code, 'seconds', round(p_seconds::numeric, 3),
      'tries', s.tries, 'generation', s.generation, 'cost', s.cost));
  END IF;
  IF is_held_off_v1(since, p_code) AND w IN ('running', 'compensating') THEN
    PERFORM call_person_v1(p_workflow, p_key, held_reason_v1(p_code));
  END IF;
  IF is_first AND p_attention IS NOT NULL AND w IN ('running', 'compensating') THEN
    PERFORM call_person_v1(p_workflow, p_key, p_attention);
  END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_seconds));
  RETURN CASE w WHEN 'compensating' THEN 'draining' ELSE 'recorded' END;
END $$;
