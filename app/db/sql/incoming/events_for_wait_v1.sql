-- The events that an open wait may take, in the order in which they were received: those of its type
-- and key in its window, at most p_most after the event (p_at, p_id). p_first, p_last: the first and the
-- last type that the wait takes, in the order of their bytes. The filter is not evaluated here. If there
-- are none, this records that the wait has been looked for: an event that is committed from now on looks
-- for the wait itself.
CREATE OR REPLACE FUNCTION events_for_wait_v1(
  p_wait uuid, p_first text, p_last text, p_most integer, p_at timestamptz, p_id uuid)
RETURNS TABLE (
  id uuid, user_id uuid, source text, source_id text, type text, subject text,
  occurred_at timestamptz, received_at timestamptz, data jsonb, attributes jsonb, depth smallint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
BEGIN
  SELECT user_id, key, since INTO w FROM event_waits WHERE id = p_wait AND event_id IS NULL;
  IF NOT FOUND THEN RETURN; END IF;
  IF p_first = p_last THEN
    RETURN QUERY
    SELECT e.id, e.user_id, e.source, e.source_id, e.type, e.subject, e.occurred_at,
           e.received_at, e.data, e.attributes, e.depth
      FROM incoming_events AS e
     WHERE e.user_id = w.user_id AND e.type = p_first AND e.received_at >= w.since
       AND (e.received_at, e.id) > (p_at, p_id) AND e.depth < most_depth_v1()
       AND (w.key = 0 OR e.keys IS NULL OR w.key = ANY (e.keys))
     ORDER BY e.received_at, e.id LIMIT p_most;
  ELSE
    RETURN QUERY
    SELECT e.id, e.user_id, e.source, e.source_id, e.type, e.subject, e.occurred_at,
           e.received_at, e.data, e.attributes, e.depth
      FROM incoming_events AS e
     WHERE e.user_id = w.user_id AND e.type COLLATE "C" BETWEEN p_first AND p_last
       AND e.received_at >= w.since
       AND (e.received_at, e.id) > (p_at, p_id) AND e.depth < most_depth_v1()
       AND (w.key = 0 OR e.keys IS NULL OR w.key = ANY (e.keys))
     ORDER BY e.received_at, e.id LIMIT p_most;
  END IF;
  IF NOT FOUND THEN
    UPDATE event_waits SET looked_at = clock_timestamp() WHERE id = p_wait AND looked_at IS NULL;
  END IF;
END $$;
