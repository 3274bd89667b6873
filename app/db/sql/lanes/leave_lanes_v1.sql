-- Removes all entries of a workflow, whose steps have just been cancelled. See leave_lane_v1.
CREATE OR REPLACE FUNCTION leave_lanes_v1(p_workflow uuid) RETURNS void LANGUAGE sql AS $$
  DELETE FROM lane_entries AS e
   WHERE e.queue = ANY (ARRAY(SELECT name FROM queues))
     AND e.user_id = (SELECT user_id FROM workflows WHERE id = p_workflow)
     AND e.order_at = (SELECT order_in_lane(started_at, priority) FROM workflows WHERE id = p_workflow)
     AND e.workflow_id = p_workflow
$$;
