-- Adds the steps p_keys of a workflow to a lane. They have the publish_after 'infinity'. p_are_new:
-- the workflow is new, so no step can have an entry. To look for one would cost a second record of
-- each entry in the write-ahead log.
CREATE OR REPLACE FUNCTION enter_lane_v1(
  p_queue text, p_user uuid, p_order_at timestamptz, p_workflow uuid, p_keys text[],
  p_are_new boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_are_new THEN
    INSERT INTO lane_entries (queue, user_id, order_at, workflow_id, key)
    SELECT p_queue, p_user, p_order_at, p_workflow, unnest(p_keys);
  ELSE
    INSERT INTO lane_entries (queue, user_id, order_at, workflow_id, key)
    SELECT p_queue, p_user, p_order_at, p_workflow, unnest(p_keys) ON CONFLICT DO NOTHING;
  END IF;
  PERFORM lock_lane_v1(p_queue, p_user);
  IF NOT EXISTS (SELECT FROM lanes WHERE queue = p_queue AND user_id = p_user AND is_waiting) THEN
    -- A lane that was empty has no claim to the turns that it has missed.
    INSERT INTO lanes AS l (queue, user_id, turn, is_waiting, weight)
    SELECT p_queue, p_user, turn, true,
           coalesce((SELECT weight FROM users WHERE id = p_user), 1)
      FROM queues WHERE name = p_queue
    ON CONFLICT (queue, user_id) DO UPDATE SET
      is_waiting = true, turn = greatest(l.turn, excluded.turn), weight = excluded.weight;
  END IF;
END $$;
