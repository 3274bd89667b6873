-- The places of a workflow's steps in their lanes of these queues. The first place is 1; null: the
-- place is behind p_most. All steps of a workflow in one lane stand behind each other, in the order
-- of their keys.
CREATE OR REPLACE FUNCTION places_v1(p_workflow uuid, p_queues text[], p_most bigint)
RETURNS TABLE (key text, place bigint) LANGUAGE sql STABLE
-- PostgreSQL takes every queue for a long one. It would read the whole table for each queue, or
-- sort it, or compile the query, although an index has the few rows.
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
  SELECT of.key, CASE WHEN of.place <= p_most THEN of.place END
    FROM (SELECT e.key, ahead.number + row_number() OVER (PARTITION BY e.queue ORDER BY e.key)
                 AS place
            FROM (SELECT user_id, order_in_lane(started_at, priority) AS order_at
                    FROM workflows WHERE id = p_workflow) AS w
           CROSS JOIN unnest(p_queues) AS q (name)
           CROSS JOIN LATERAL (
                 SELECT count(*) AS number FROM (
                   SELECT FROM lane_entries AS e
                    WHERE e.queue = q.name AND e.user_id = w.user_id
                      AND (e.order_at, e.workflow_id) < (w.order_at, p_workflow) LIMIT p_most)
                     AS read
                 ) AS ahead
            JOIN lane_entries AS e ON e.queue = q.name AND e.user_id = w.user_id
             AND e.order_at = w.order_at AND e.workflow_id = p_workflow) AS of
$$;
