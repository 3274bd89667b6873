-- Waits for which no stored event was looked for in time, at most p_most. Each is put off, longer with
-- each time, so that one that cannot be handled delays no others.
CREATE OR REPLACE FUNCTION take_unlooked_v1(p_most integer)
RETURNS SETOF uuid LANGUAGE sql AS $$
  UPDATE event_waits
     SET look_after = clock_timestamp() + growing_pause(failures),
         failures = least(failures + 1, 20)
   WHERE id IN (SELECT id FROM event_waits
                 WHERE looked_at IS NULL AND look_after <= clock_timestamp()
                 ORDER BY look_after LIMIT p_most FOR UPDATE SKIP LOCKED)
  RETURNING id;
$$;
