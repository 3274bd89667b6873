-- Records that a step waits for an event until the time p_until (see wait_step_v1), and which event:
-- p_event has its type (a pattern), filter, given (the values that the filter reads beside the event),
-- key_path and key_value (see the table event_waits), and within_seconds. Events count that were
-- received since the step was ready, or so many seconds before that. The caller then looks for an
-- event that is stored already; the reconciler does so if it has not after p_patience seconds.
--
-- verdicts: fenced, draining, recorded, as of wait_step_v1.
CREATE OR REPLACE FUNCTION wait_for_event_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_external_id text, p_until timestamptz, p_event jsonb, p_patience double precision DEFAULT 5)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  verdict text;
BEGIN
  verdict := wait_step_v1(p_workflow, p_key, p_fence, p_input, p_cost, p_calls, p_external_id,
                          p_until, NULL, NULL, NULL, 0);
  IF verdict <> 'recorded' THEN RETURN verdict; END IF;
  INSERT INTO event_waits (user_id, workflow_id, step_key, external_id, event_type, filter, given,
                           key_path, key_value, since, look_after)
  SELECT w.user_id, p_workflow, p_key, p_external_id, p_event ->> 'type', p_event ->> 'filter',
         p_event -> 'given',
         ARRAY(SELECT jsonb_array_elements_text(p_event -> 'key_path')), p_event -> 'key_value',
         -- Events are received by the clock of the machine.
         clock_timestamp() - (playalter_now() - s.ready_at)
           - seconds((p_event ->> 'within_seconds')::float8),
         clock_timestamp() + seconds(p_patience)
    FROM workflows AS w JOIN steps AS s ON s.workflow_id = w.id
   WHERE w.id = p_workflow AND s.key = p_key
  ON CONFLICT (external_id) DO UPDATE SET looked_at = NULL, look_after = excluded.look_after;
  RETURN verdict;
END $$;
