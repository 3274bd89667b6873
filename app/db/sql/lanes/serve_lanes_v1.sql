-- Admits up to p_each entries of each of the lanes p_users, in their order, and p_most in all: their
-- steps get a publish_after. Called by one transaction at a time for each queue. Never waits: a step
-- that another transaction holds is left for the next time. An entry whose step is not lined up any
-- more (it was skipped, say) is removed. Does not touch the workflows' rows (see admissions).
--
-- One row for each admitted step, and one without a key for each lane. That row has the number of
-- entries that were read (`seen`), of those that were admitted, and of those that are gone.
CREATE OR REPLACE FUNCTION serve_lanes_v1(
  p_queue text, p_users uuid[], p_each integer, p_most integer, p_republish double precision)
RETURNS TABLE (user_id uuid, workflow_id uuid, key text, type text, version integer, seen bigint,
               admitted bigint, gone bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH taken AS MATERIALIZED (
    SELECT e.user_id, e.order_at, e.workflow_id, e.key,
           row_number() OVER (ORDER BY l.place, e.order_at, e.workflow_id, e.key) AS number
      FROM unnest(p_users) WITH ORDINALITY AS l (user_id, place)
      CROSS JOIN LATERAL (
        SELECT * FROM lane_entries AS e
         WHERE e.queue = p_queue AND e.user_id = l.user_id
         ORDER BY e.order_at, e.workflow_id, e.key LIMIT p_each) AS e
     ORDER BY number LIMIT p_most),
  -- Whoever claims a lined-up step locks its row before its entry, and so does this.
  locked AS MATERIALIZED (
    SELECT t.user_id, t.order_at, s.workflow_id, s.key, t.number
      FROM taken AS t JOIN steps AS s ON s.workflow_id = t.workflow_id AND s.key = t.key
     WHERE s.status = 'pending' AND s.publish_after = 'infinity'
       FOR NO KEY UPDATE OF s SKIP LOCKED),
  published AS (
    UPDATE steps AS s SET publish_after = clock_timestamp() + seconds(p_republish)
      FROM locked AS k WHERE s.workflow_id = k.workflow_id AND s.key = k.key),
  stale AS MATERIALIZED (
    SELECT t.user_id, t.order_at, t.workflow_id, t.key, t.number FROM taken AS t
      LEFT JOIN locked AS k ON k.workflow_id = t.workflow_id AND k.key = t.key
     WHERE k.key IS NULL
       AND NOT EXISTS (SELECT FROM steps AS s
                        WHERE s.workflow_id = t.workflow_id AND s.key = t.key
                          AND s.status = 'pending' AND s.publish_after = 'infinity')),
  gone AS (
    DELETE FROM lane_entries AS e USING (TABLE locked UNION ALL TABLE stale) AS t
     WHERE e.queue = p_queue AND e.user_id = t.user_id AND e.order_at = t.order_at
       AND e.workflow_id = t.workflow_id AND e.key = t.key
    RETURNING e.user_id)
  SELECT found.user_id, found.workflow_id, found.key, found.type, found.version, found.seen,
         found.admitted, found.gone FROM (
  SELECT k.number, k.user_id, k.workflow_id, k.key, w.type, w.version, NULL::bigint AS seen,
         NULL::bigint AS admitted, NULL::bigint AS gone
    FROM locked AS k JOIN workflows AS w ON w.id = k.workflow_id
  UNION ALL
  SELECT NULL, l.user_id, NULL, NULL, NULL, NULL,
         (SELECT count(*) FROM taken AS t WHERE t.user_id = l.user_id),
         (SELECT count(*) FROM locked AS k WHERE k.user_id = l.user_id),
         (SELECT count(*) FROM gone AS g WHERE g.user_id = l.user_id)
    FROM unnest(p_users) AS l (user_id)) AS found
   ORDER BY found.number;
END $$;
