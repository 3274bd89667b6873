-- Records that a step waits for an event until the time p_until (see wait_step_v1), and which event:
-- see event_type, filter, given and key of the table event_waits. Events count that were received since
-- the step was ready, or p_within seconds before that. The caller then looks for an event that is stored
-- already; the reconciler does so if it has not after p_patience seconds.
--
-- verdicts: fenced, draining, recorded, as of wait_step_v1.
CREATE OR REPLACE FUNCTION wait_for_event_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_external_id text, p_until timestamptz, p_type text, p_filter text, p_given jsonb,
  p_event_key integer, p_within double precision, p_patience double precision DEFAULT 5)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  verdict text;
BEGIN
  verdict := wait_step_v1(p_workflow, p_key, p_fence, p_input, p_cost, p_calls, p_external_id,
                          p_until, NULL, NULL, NULL, 0);
  IF verdict <> 'recorded' THEN RETURN verdict; END IF;
  INSERT INTO event_waits (user_id, workflow_id, step_key, external_id, event_type, filter, given, key,
                           since, until, look_after)
  SELECT w.user_id, p_workflow, p_key, p_external_id, p_type, p_filter, p_given, p_event_key,
         -- Events are received by the clock of the machine.
         clock_timestamp() - (playalter_now() - s.ready_at) - seconds(p_within), p_until,
         clock_timestamp() + seconds(p_patience)
    FROM workflows AS w JOIN steps AS s ON s.workflow_id = w.id
   WHERE w.id = p_workflow AND s.key = p_key
  ON CONFLICT (external_id) DO UPDATE
    SET looked_at = NULL, looked_to = NULL, looked_to_id = NULL, until = excluded.until,
        look_after = excluded.look_after;
  RETURN verdict;
END $$;
