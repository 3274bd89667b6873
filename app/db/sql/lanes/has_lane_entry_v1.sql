-- Whether a step of a workflow has an entry in the lane of its action's queue.
CREATE OR REPLACE FUNCTION has_lane_entry_v1(p_workflow uuid, p_key text, p_action text)
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM lane_entries AS e JOIN workflows AS w
        ON e.user_id = w.user_id AND e.order_at = order_in_lane(w.started_at, w.priority)
     WHERE w.id = p_workflow AND e.queue = queue_of_v1(p_action)
       AND e.workflow_id = p_workflow AND e.key = p_key)
$$;
