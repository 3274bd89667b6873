-- The oldest events whose triggers nobody has looked for in time, at most p_most. Each is put off,
-- longer with each time, so that an event that cannot be handled delays no others.
CREATE OR REPLACE FUNCTION take_unmatched_v1(p_most integer)
RETURNS SETOF uuid LANGUAGE sql AS $$
  UPDATE incoming_events
     SET match_after = clock_timestamp() + growing_pause(failures),
         failures = least(failures + 1, 20)
   WHERE id IN (SELECT id FROM incoming_events
                 WHERE matched_at IS NULL AND match_after <= clock_timestamp()
                 ORDER BY match_after LIMIT p_most FOR UPDATE SKIP LOCKED)
  RETURNING id;
$$;
