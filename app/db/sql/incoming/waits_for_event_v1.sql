-- The open waits of a user that may take an event, at most p_most with ids after p_from, in the order of
-- their ids. The filters are not evaluated here. p_patterns: the types of events that take this one.
-- p_keys: the keys of the event, and 0; null if it has too many. Waits with other keys are not read,
-- however many there are. p_received: when the event was received.
CREATE OR REPLACE FUNCTION waits_for_event_v1(
  p_user uuid, p_received timestamptz, p_patterns text[], p_keys integer[], p_from uuid,
  p_most integer)
RETURNS TABLE (id uuid, event_type text, filter text, given jsonb, is_looked boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  IF p_keys IS NULL THEN
    p_keys := ARRAY(SELECT DISTINCT key FROM event_waits
                     WHERE user_id = p_user AND event_type = ANY (p_patterns) AND event_id IS NULL);
  END IF;
  RETURN QUERY
  SELECT o.id, o.event_type, o.filter, o.given, o.looked_at IS NOT NULL
    FROM unnest(p_patterns) AS t (event_type) CROSS JOIN unnest(p_keys) AS k (key)
   CROSS JOIN LATERAL (
     SELECT w.id, w.event_type, w.filter, w.given, w.looked_at FROM event_waits AS w
      WHERE w.user_id = p_user AND w.event_type = t.event_type AND w.event_id IS NULL
        AND w.key = k.key AND w.id > p_from AND w.since <= p_received
        -- Not joined, so that each is looked up by its key.
        -- A step whose time is over takes what was received before (see wake_by_event_v1).
        AND (SELECT s.status IN ('waiting', 'pending', 'running')
                    AND s.external_id = w.external_id FROM steps AS s
              WHERE s.workflow_id = w.workflow_id AND s.key = w.step_key)
      ORDER BY w.id LIMIT p_most) AS o
   ORDER BY o.id LIMIT p_most;
END $$;
