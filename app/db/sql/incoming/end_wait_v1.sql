-- Ends a wait whose time is over, for the attempt that runs its step: with the event p_event, or without
-- one if that is null. p_payload is what the step's output has of the event; p_until is when the time
-- was over. Returns the payload of the event that the wait has taken: this one, or one that it was given
-- meanwhile; null if it has none. A wait that ended without an event is deleted, so that none is given
-- to it while its step times out. Locks the workflow row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION end_wait_v1(
  p_wait uuid, p_event uuid, p_payload jsonb, p_until timestamptz)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
  v record;
BEGIN
  SELECT workflow_id, step_key, external_id INTO v FROM event_waits WHERE id = p_wait;
  PERFORM FROM workflows WHERE id = v.workflow_id FOR NO KEY UPDATE;
  IF p_event IS NULL THEN
    DELETE FROM event_waits WHERE id = p_wait AND event_id IS NULL;
  ELSE
    UPDATE event_waits AS o SET event_id = p_event, ended_at = clock_timestamp(),
           looked_at = coalesce(looked_at, clock_timestamp())
      FROM incoming_events AS e
     WHERE o.id = p_wait AND o.event_id IS NULL AND e.id = p_event
       AND e.received_at BETWEEN o.since AND p_until - (playalter_now() - clock_timestamp());
    IF FOUND THEN
      PERFORM store_given_v1(v.workflow_id, v.step_key, v.external_id, p_event, p_payload);
    END IF;
  END IF;
  RETURN (SELECT payload FROM webhook_deliveries
           WHERE external_id = v.external_id AND platform = 'control' ORDER BY id LIMIT 1);
END $$;
