-- Admits up to p_count entries of one lane, in order: their steps get a publish_after, their
-- workflows a next_wake_at, after which the reconciler publishes a step whose message was lost.
-- Never waits: an entry, step or workflow that another transaction holds is left for the next time.
-- An entry whose step is not lined up any more (it was cancelled, say) is removed.
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
     ORDER BY e.order_at, e.workflow_id, e.key LIMIT p_count FOR UPDATE SKIP LOCKED),
  locked AS MATERIALIZED (
    SELECT s.workflow_id, s.key, w.type, w.version, w.priority
      FROM taken AS t JOIN steps AS s ON s.workflow_id = t.workflow_id AND s.key = t.key
      JOIN workflows AS w ON w.id = t.workflow_id
     WHERE s.status = 'pending' AND s.publish_after = 'infinity'
       FOR NO KEY UPDATE OF s, w SKIP LOCKED),
  published AS (
    UPDATE steps AS s SET publish_after = clock_timestamp() + seconds(p_republish)
      FROM locked AS k WHERE s.workflow_id = k.workflow_id AND s.key = k.key),
  looked_at AS (
    UPDATE workflows AS w SET next_wake_at = playalter_now() + seconds(p_republish)
      FROM (SELECT DISTINCT workflow_id FROM locked) AS k
     WHERE w.id = k.workflow_id AND w.completed_at IS NULL
       AND w.next_wake_at > playalter_now() + seconds(p_republish)),
  gone AS (
    DELETE FROM lane_entries AS e USING taken AS t
     WHERE e.queue = p_queue AND e.user_id = p_user AND e.order_at = t.order_at
       AND e.workflow_id = t.workflow_id AND e.key = t.key
       AND (EXISTS (SELECT FROM locked AS k WHERE k.workflow_id = t.workflow_id AND k.key = t.key)
            OR NOT EXISTS (SELECT FROM steps AS s
                            WHERE s.workflow_id = t.workflow_id AND s.key = t.key
                              AND s.status = 'pending' AND s.publish_after = 'infinity'))
    RETURNING 1)
  SELECT k.workflow_id, k.key, k.type, k.version, k.priority, NULL, NULL FROM locked AS k
  UNION ALL
  SELECT NULL, NULL, NULL, NULL, NULL, (SELECT count(*) FROM taken), (SELECT count(*) FROM gone)
$$;
