-- Whether a step of a workflow has an entry in the lane of its action's queue. See leave_lane_v1.
CREATE OR REPLACE FUNCTION has_lane_entry_v1(p_workflow uuid, p_key text, p_action text)
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM lane_entries AS e
     WHERE e.queue = queue_of_v1(p_action)
       AND e.user_id = (SELECT user_id FROM workflows WHERE id = p_workflow)
       AND e.order_at = (SELECT order_in_lane(started_at, priority)
                           FROM workflows WHERE id = p_workflow)
       AND e.workflow_id = p_workflow AND e.key = p_key)
$$;
