-- Records that a call of the step may have taken effect. The step becomes unknown, and its call is
-- looked up after p_seconds seconds (the platform is asked whether the call took effect). Accepted
-- only from the attempt whose fence (the id of its claim) is current. The workflow row is locked
-- first, FOR NO KEY UPDATE.
--
--   p_was_sent: true if this attempt sent the call; the attempt is then counted (`tries`) and logs
--     an event. False if the attempt was a lookup that gave no answer; it is not counted, and logs
--     an event only if the reason has changed.
--   p_attention: why the workflow is marked for attention (a person must look); null if it is not.
--
-- verdicts:
--   fenced: nothing was recorded.
--   draining: it was recorded, and the workflow is stopping.
--   recorded: it was recorded, and the workflow is not stopping.
CREATE OR REPLACE FUNCTION doubt_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_error jsonb, p_code text, p_seconds double precision, p_attention text, p_was_sent boolean)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
  s record;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET status = 'unknown', error = p_error, error_code = p_code,
         held_since = NULL, input = coalesce(p_input, input),
         cost = nullif(coalesce(cost, 0) + p_cost, 0), crashes = 0,
         tries = tries + p_was_sent::integer,
         wake_at = playalter_now() + seconds(p_seconds),
         publish_after = clock_timestamp(), lease_until = NULL, deadline_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING old.error_code AS previous, new.tries, coalesce(new.cost, 0) AS cost INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF p_was_sent OR s.previous IS DISTINCT FROM p_code THEN
    PERFORM append_event_v1(p_workflow, 'StepOutcomeUnknown', p_key,
                            jsonb_build_object('code', p_code, 'tries', s.tries, 'cost', s.cost));
  END IF;
  IF p_attention IS NOT NULL THEN PERFORM call_person_v1(p_workflow, p_key, p_attention); END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_seconds));
  RETURN CASE w WHEN 'compensating' THEN 'draining' ELSE 'recorded' END;
END $$;
