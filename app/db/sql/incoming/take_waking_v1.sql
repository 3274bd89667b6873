-- Events whose waits were not all looked for in time, at most p_most, each with the wait after which
-- to go on. Each is put off, longer with each time, so that one that cannot be handled delays no
-- others.
CREATE OR REPLACE FUNCTION take_waking_v1(p_most integer)
RETURNS TABLE (id uuid, wakes_from uuid) LANGUAGE sql AS $$
  UPDATE incoming_events AS e
     SET wakes_at = clock_timestamp() + growing_pause(e.failures),
         failures = least(e.failures + 1, 20)
   WHERE e.id IN (SELECT i.id FROM incoming_events AS i
                   WHERE i.wakes_at <= clock_timestamp()
                   ORDER BY i.wakes_at LIMIT p_most FOR UPDATE SKIP LOCKED)
  RETURNING e.id, e.wakes_from;
$$;
