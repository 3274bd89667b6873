-- The events that an open wait may take and that were not all brought to their waits yet, in the order
-- in which they were received: at most p_most after the event (p_at, p_id). The other parameters are
-- those of events_for_wait_v1. The filter is not evaluated here.
CREATE OR REPLACE FUNCTION events_to_bring_v1(
  p_wait uuid, p_first text, p_last text, p_most integer, p_at timestamptz, p_id uuid)
RETURNS TABLE (
  id uuid, user_id uuid, source text, source_id text, type text, subject text,
  occurred_at timestamptz, received_at timestamptz, data jsonb, attributes jsonb, depth smallint)
LANGUAGE sql STABLE AS $$
  SELECT e.id, e.user_id, e.source, e.source_id, e.type, e.subject, e.occurred_at, e.received_at,
         e.data, e.attributes, e.depth
    FROM event_waits AS w
    -- Each half has an index that holds only these events, and they are few.
   CROSS JOIN LATERAL (
     SELECT * FROM incoming_events WHERE matched_at IS NULL AND user_id = w.user_id
     UNION ALL
     SELECT * FROM incoming_events
      WHERE wakes_at IS NOT NULL AND matched_at IS NOT NULL AND user_id = w.user_id) AS e
   WHERE w.id = p_wait AND w.event_id IS NULL AND e.type COLLATE "C" BETWEEN p_first AND p_last
     AND e.received_at >= w.since AND (e.received_at, e.id) > (p_at, p_id)
     AND e.depth < most_depth_v1()
     AND (w.key = 0 OR e.keys IS NULL OR w.key = ANY (e.keys))
   ORDER BY e.received_at, e.id LIMIT p_most
$$;
