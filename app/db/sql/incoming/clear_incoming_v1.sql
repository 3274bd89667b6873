-- Deletes at most p_most events that were received more than p_days days ago, with their matches,
-- which stay counted at their triggers. Events with a pending match stay. Returns how many were
-- deleted.
CREATE OR REPLACE FUNCTION clear_incoming_v1(p_days double precision, p_most integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  old uuid[];
BEGIN
  SELECT array_agg(id) INTO old
    FROM (SELECT id FROM incoming_events AS e
           WHERE received_at < clock_timestamp() - seconds(p_days * 86400) AND matched_at IS NOT NULL AND wakes_at IS NULL
             AND NOT EXISTS (SELECT FROM trigger_matches
                              WHERE event_id = e.id AND outcome = 'pending')
           ORDER BY received_at LIMIT p_most FOR UPDATE SKIP LOCKED) AS locked;
  WITH gone AS (
    DELETE FROM trigger_matches WHERE event_id = ANY (old) RETURNING trigger_id, outcome),
  counted AS (
    SELECT trigger_id, count(*) FILTER (WHERE outcome = 'started') AS started,
           count(*) FILTER (WHERE outcome = 'repeated') AS repeated,
           count(*) FILTER (WHERE outcome = 'refused') AS refused,
           count(*) FILTER (WHERE outcome = 'raised') AS raised,
           count(*) FILTER (WHERE outcome = 'stopped') AS stopped,
           count(*) FILTER (WHERE outcome = 'dropped') AS dropped
      FROM gone GROUP BY trigger_id)
  UPDATE event_triggers AS t
     SET cleared_started = cleared_started + c.started,
         cleared_repeated = cleared_repeated + c.repeated,
         cleared_refused = cleared_refused + c.refused,
         cleared_raised = cleared_raised + c.raised,
         cleared_stopped = cleared_stopped + c.stopped,
         cleared_dropped = cleared_dropped + c.dropped
    FROM counted AS c WHERE t.id = c.trigger_id;
  DELETE FROM event_waits WHERE event_id = ANY (old);
  DELETE FROM incoming_events WHERE id = ANY (old);
  DELETE FROM event_triggers AS t
   WHERE deleted_at < clock_timestamp() - seconds(p_days * 86400)
     AND NOT EXISTS (SELECT FROM trigger_matches WHERE trigger_id = t.id);
  RETURN coalesce(cardinality(old), 0);
END $$;
