-- Lines up those of the released steps p_keys whose queue is backed up, and returns their keys. The
-- caller publishes only the others. A step that is lined up has the publish_after 'infinity' and an
-- entry in the lane of its user; admit_v1 publishes it. It may be claimed before that. The caller
-- holds the workflow row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION line_up_v1(p_workflow uuid, p_keys text[]) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
  w record;
  held record;
  lined_up text[] := '{}';
BEGIN
  SELECT user_id, order_in_lane(started_at, priority) AS order_at INTO w
    FROM workflows WHERE id = p_workflow;
  FOR held IN
    WITH held AS (
      UPDATE steps AS s SET publish_after = 'infinity' FROM queues AS q
       WHERE s.workflow_id = p_workflow AND s.key = ANY (p_keys) AND s.status = 'pending'
         AND s.kind = 'step' AND q.name = queue_of_v1(s.action) AND q.is_backed_up
      RETURNING q.name AS queue, s.key)
    SELECT queue, array_agg(key ORDER BY key) AS keys FROM held GROUP BY queue ORDER BY queue
  LOOP
    lined_up := lined_up || held.keys;
    PERFORM enter_lane_v1(held.queue, w.user_id, w.order_at, p_workflow, held.keys);
  END LOOP;
  RETURN lined_up;
END $$;
