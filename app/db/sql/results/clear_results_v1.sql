-- Forgets which steps have made results more than p_seconds ago. Deletes at most p_most rows, and
-- returns their number.
CREATE OR REPLACE FUNCTION clear_results_v1(p_seconds double precision, p_most integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  number integer;
BEGIN
  DELETE FROM known_results WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM known_results WHERE claimed_at < clock_timestamp() - seconds(p_seconds)
     LIMIT p_most FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS number = ROW_COUNT;
  RETURN number;
END $$;
