-- Deletes at most p_most open waits, made an hour ago or earlier, whose steps do not wait any more:
-- their time is over, or they were skipped or stopped. Returns how many were deleted.
CREATE OR REPLACE FUNCTION clear_waits_v1(p_most integer) RETURNS integer LANGUAGE sql AS $$
  WITH gone AS (
    DELETE FROM event_waits WHERE id IN (
      SELECT v.id FROM event_waits AS v
        LEFT JOIN steps AS s ON s.workflow_id = v.workflow_id AND s.key = v.step_key
                            AND s.external_id = v.external_id
       WHERE v.event_id IS NULL AND v.created_at < clock_timestamp() - interval '1 hour'
         AND coalesce(s.status NOT IN ('waiting', 'pending', 'running'), true)
       LIMIT p_most)
    RETURNING 1)
  SELECT count(*)::integer FROM gone
$$;
