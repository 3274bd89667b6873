-- Lets go of the answers of lines that their steps do not want any more, and whose costs are booked, or
-- that have cost nothing. At most p_most lines; returns their number.
CREATE OR REPLACE FUNCTION settle_booked_lines_v1(p_most integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  number integer;
BEGIN
  UPDATE batch_lines SET settled_at = clock_timestamp(), answer = NULL
   WHERE id = ANY (ARRAY(
     SELECT l.id FROM batch_lines AS l
      WHERE l.ended_at IS NOT NULL AND l.settled_at IS NULL
        AND NOT is_wanted_v1(l.workflow_id, l.step_key, l.generation)
        AND (l.cost = 0 OR EXISTS (
          SELECT FROM booked_effects AS b
           WHERE b.workflow_id = l.workflow_id AND b.effect = l.id::text))
      ORDER BY l.ended_at LIMIT p_most FOR UPDATE OF l SKIP LOCKED));
  GET DIAGNOSTICS number = ROW_COUNT;
  RETURN number;
END $$;
