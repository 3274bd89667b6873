-- Gives an event to a wait that it ends: p_payload is what the step's output has of it. Once for each
-- wait, whoever does it. p_ends: no other wait is left for which the event is looked for.
-- Locks the workflow row FOR NO KEY UPDATE.
--
-- verdicts:
--   woken: the caller publishes the step.
--   paused: the step is published when the workflow is resumed.
--   awake: the step's time is over, but the event was received before; its attempt takes the event.
--   over: the wait takes this event no more: it has one, its time is over, or its workflow stops.
CREATE OR REPLACE FUNCTION wake_by_event_v1(
  p_wait uuid, p_event uuid, p_payload jsonb, p_ends boolean, p_republish double precision)
RETURNS TABLE (verdict text, workflow_id uuid, step_key text) LANGUAGE plpgsql AS $$
DECLARE
  v record;
  w record;
  found_status text;
BEGIN
  IF p_ends THEN
    UPDATE incoming_events SET wakes_at = NULL, wakes_from = NULL
     WHERE id = p_event AND wakes_at IS NOT NULL;
  END IF;
  SELECT o.workflow_id, o.step_key, o.external_id INTO v FROM event_waits AS o WHERE o.id = p_wait;
  SELECT status, paused_at INTO w FROM workflows WHERE id = v.workflow_id FOR NO KEY UPDATE;
  IF w.status IS DISTINCT FROM 'running' THEN
    DELETE FROM event_waits WHERE id = p_wait AND event_id IS NULL;
    RETURN QUERY SELECT 'over', v.workflow_id, v.step_key;
    RETURN;
  END IF;
  SELECT s.status INTO found_status
    FROM event_waits AS o, incoming_events AS e, steps AS s
   WHERE o.id = p_wait AND o.event_id IS NULL AND e.id = p_event
     AND s.workflow_id = v.workflow_id AND s.key = v.step_key
     AND s.status IN ('waiting', 'pending', 'running') AND s.external_id = v.external_id
     AND e.received_at BETWEEN o.since
         AND CASE s.status WHEN 'waiting' THEN s.wake_at
                           ELSE o.until END
             - (playalter_now() - clock_timestamp());
  IF NOT FOUND THEN RETURN QUERY SELECT 'over', v.workflow_id, v.step_key; RETURN; END IF;
  UPDATE event_waits SET event_id = p_event, ended_at = clock_timestamp(),
         looked_at = coalesce(looked_at, clock_timestamp())
   WHERE id = p_wait;
  PERFORM store_given_v1(v.workflow_id, v.step_key, v.external_id, p_event, p_payload);
  -- A claim does not lock the workflow row, but it takes no step that waits.
  IF found_status <> 'waiting' THEN
    RETURN QUERY SELECT 'awake', v.workflow_id, v.step_key;
    RETURN;
  END IF;
  UPDATE steps AS s SET status = 'pending', wake_at = NULL,
         publish_after = clock_timestamp() + seconds(p_republish)
   WHERE s.workflow_id = v.workflow_id AND s.key = v.step_key;
  PERFORM wake_by_v1(v.workflow_id, playalter_now() + seconds(p_republish));
  RETURN QUERY SELECT CASE WHEN w.paused_at IS NULL THEN 'woken' ELSE 'paused' END,
                      v.workflow_id, v.step_key;
END $$;
