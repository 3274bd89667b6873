-- The events that an open wait may take, in the order in which they were received: those of its type
-- in its window, at most p_most after the event (p_at, p_id). The filter is not evaluated here. If
-- there are none, this records that the wait has been looked for: an event that is committed from now
-- on looks for the wait itself.
CREATE OR REPLACE FUNCTION events_for_wait_v1(
  p_wait uuid, p_most integer, p_at timestamptz, p_id uuid)
RETURNS TABLE (
  id uuid, user_id uuid, source text, source_id text, type text, subject text,
  occurred_at timestamptz, received_at timestamptz, data jsonb, attributes jsonb, depth smallint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
BEGIN
  SELECT user_id, event_type, key_path, key_value, since INTO w
    FROM event_waits WHERE id = p_wait AND event_id IS NULL;
  IF NOT FOUND THEN RETURN; END IF;
  IF w.event_type = '*' OR w.event_type LIKE '%.*' THEN
    RETURN QUERY
    SELECT e.id, e.user_id, e.source, e.source_id, e.type, e.subject, e.occurred_at,
           e.received_at, e.data, e.attributes, e.depth
      FROM incoming_events AS e
     WHERE e.user_id = w.user_id AND e.received_at >= w.since
       AND (e.received_at, e.id) > (p_at, p_id) AND e.depth < most_depth_v1()
       AND starts_with(e.type, left(w.event_type, -1))
       AND (w.key_path = '{}' OR key_in_event_v1(e.subject, e.data, w.key_path) = w.key_value)
     ORDER BY e.received_at, e.id LIMIT p_most;
  ELSE
    RETURN QUERY
    SELECT e.id, e.user_id, e.source, e.source_id, e.type, e.subject, e.occurred_at,
           e.received_at, e.data, e.attributes, e.depth
      FROM incoming_events AS e
     WHERE e.user_id = w.user_id AND e.type = w.event_type AND e.received_at >= w.since
       AND (e.received_at, e.id) > (p_at, p_id) AND e.depth < most_depth_v1()
       AND (w.key_path = '{}' OR key_in_event_v1(e.subject, e.data, w.key_path) = w.key_value)
     ORDER BY e.received_at, e.id LIMIT p_most;
  END IF;
  IF NOT FOUND THEN
    UPDATE event_waits SET looked_at = clock_timestamp() WHERE id = p_wait AND looked_at IS NULL;
  END IF;
END $$;
