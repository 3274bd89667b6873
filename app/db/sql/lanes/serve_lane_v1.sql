-- Admits up to p_count entries of one lane, in order: their steps get a publish_after. Called by one
-- transaction at a time for each queue. Never waits: a step that another transaction holds is left
-- for the next time. An entry whose step is not lined up any more (it was cancelled, say) is
-- removed. Does not touch the workflows' rows (see admissions).
--
-- One row for each admitted step. The row without a key has the number of entries that were read
-- (`seen`) and of those that are gone (`gone`).
CREATE OR REPLACE FUNCTION serve_lane_v1(
  p_queue text, p_user uuid, p_count integer, p_republish double precision)
RETURNS TABLE (workflow_id uuid, key text, type text, version integer, priority smallint,
               seen bigint, gone bigint)
LANGUAGE sql AS $$
  WITH taken AS MATERIALIZED (
    SELECT e.order_at, e.workflow_id, e.key FROM lane_entries AS e
     WHERE e.queue = p_queue AND e.user_id = p_user
     ORDER BY e.order_at, e.workflow_id, e.key LIMIT p_count),
  -- Whoever claims a lined-up step locks its row before its entry, and so does this.
  locked AS MATERIALIZED (
    SELECT t.order_at, s.workflow_id, s.key
      FROM taken AS t JOIN steps AS s ON s.workflow_id = t.workflow_id AND s.key = t.key
     WHERE s.status = 'pending' AND s.publish_after = 'infinity'
       FOR NO KEY UPDATE OF s SKIP LOCKED),
  published AS (
    UPDATE steps AS s SET publish_after = clock_timestamp() + seconds(p_republish)
      FROM locked AS k WHERE s.workflow_id = k.workflow_id AND s.key = k.key),
  stale AS MATERIALIZED (
    SELECT t.order_at, t.workflow_id, t.key FROM taken AS t
      LEFT JOIN locked AS k ON k.workflow_id = t.workflow_id AND k.key = t.key
     WHERE k.key IS NULL
       AND NOT EXISTS (SELECT FROM steps AS s
                        WHERE s.workflow_id = t.workflow_id AND s.key = t.key
                          AND s.status = 'pending' AND s.publish_after = 'infinity')),
  gone AS (
    DELETE FROM lane_entries AS e USING (TABLE locked UNION ALL TABLE stale) AS t
     WHERE e.queue = p_queue AND e.user_id = p_user AND e.order_at = t.order_at
       AND e.workflow_id = t.workflow_id AND e.key = t.key
    RETURNING 1)
  SELECT k.workflow_id, k.key, w.type, w.version, w.priority, NULL, NULL
    FROM locked AS k JOIN workflows AS w ON w.id = k.workflow_id
  UNION ALL
  SELECT NULL, NULL, NULL, NULL, NULL, (SELECT count(*) FROM taken), (SELECT count(*) FROM gone)
$$;
