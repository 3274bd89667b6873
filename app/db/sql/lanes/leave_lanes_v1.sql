-- Removes all entries of a workflow, whose steps have just been cancelled.
CREATE OR REPLACE FUNCTION leave_lanes_v1(p_workflow uuid) RETURNS void LANGUAGE sql AS $$
  DELETE FROM lane_entries AS e USING workflows AS w, queues AS q
   WHERE w.id = p_workflow AND e.queue = q.name AND e.user_id = w.user_id
     AND e.order_at = order_in_lane(w.started_at, w.priority) AND e.workflow_id = p_workflow
$$;
