-- Lines up those of the released steps p_keys whose queue is backed up, and returns their keys. The
-- caller publishes only the others. A step that is lined up has the publish_after 'infinity' and an
-- entry in the lane of its user; admit_v1 publishes it. It may be claimed before that. The caller
-- holds the workflow row FOR NO KEY UPDATE, or has just inserted it.
CREATE OR REPLACE FUNCTION line_up_v1(p_workflow uuid, p_keys text[]) RETURNS text[]
LANGUAGE plpgsql AS $$
DECLARE
  w record;
  lined record;
  found text[] := '{}';
BEGIN
  IF NOT EXISTS (SELECT FROM queues WHERE is_backed_up) THEN RETURN found; END IF;
  SELECT user_id, order_in_lane(started_at, priority) AS order_at INTO w
    FROM workflows WHERE id = p_workflow;
  FOR lined IN
    WITH held AS (
      UPDATE steps AS s SET publish_after = 'infinity' FROM queues AS q
       WHERE s.workflow_id = p_workflow AND s.key = ANY (p_keys) AND s.status = 'pending'
         AND s.kind = 'step' AND q.name = queue_of_v1(s.action) AND q.is_backed_up
      RETURNING q.name AS queue, s.key),
    entered AS (
      INSERT INTO lane_entries (queue, user_id, order_at, workflow_id, key)
      SELECT queue, w.user_id, w.order_at, p_workflow, key FROM held
      ON CONFLICT DO NOTHING)
    SELECT queue, array_agg(key ORDER BY key) AS keys FROM held GROUP BY queue ORDER BY queue
  LOOP
    found := found || lined.keys;
    PERFORM lock_lane_v1(lined.queue, w.user_id);
    IF NOT EXISTS (SELECT FROM lanes
                    WHERE queue = lined.queue AND user_id = w.user_id AND is_waiting) THEN
      -- A lane that was empty has no claim to the turns that it has missed.
      INSERT INTO lanes AS l (queue, user_id, turn, is_waiting)
      SELECT lined.queue, w.user_id, turn, true FROM queues WHERE name = lined.queue
      ON CONFLICT (queue, user_id) DO UPDATE SET
        is_waiting = true, turn = greatest(l.turn, excluded.turn);
    END IF;
  END LOOP;
  RETURN found;
END $$;
