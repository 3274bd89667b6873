-- Matches whose workflows nobody has started in time, at most p_most. Each is put off, longer with
-- each time, so that a match that cannot be handled delays no others.
CREATE OR REPLACE FUNCTION take_pending_v1(p_most integer)
RETURNS TABLE (event_id uuid, trigger_id uuid) LANGUAGE sql AS $$
  UPDATE trigger_matches AS m
     SET act_after = clock_timestamp() + growing_pause(m.failures),
         failures = least(m.failures + 1, 20)
    FROM (SELECT d.event_id, d.trigger_id FROM trigger_matches AS d
           WHERE d.outcome = 'pending' AND d.act_after <= clock_timestamp()
           ORDER BY d.act_after LIMIT p_most FOR UPDATE SKIP LOCKED) AS due
   WHERE m.event_id = due.event_id AND m.trigger_id = due.trigger_id
  RETURNING m.event_id, m.trigger_id;
$$;
