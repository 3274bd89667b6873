-- Takes a workflow out of its lane, and gives the places back that it holds. Locks no limit and no
-- lane: flow_pools_v1 hands the places on.
CREATE OR REPLACE FUNCTION leave_flow_v1(p_workflow uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM flow_entries AS e
   WHERE (e.lane_id, e.order_at) = (
           SELECT lane_id, order_in_flow(created_at, starts_at, priority, flow)
             FROM workflows WHERE id = p_workflow)
     AND e.workflow_id = p_workflow;
  -- A statement of its own: whoever was just taking the entry has committed the places by now.
  WITH given_back AS (DELETE FROM flow_turns WHERE workflow_id = p_workflow RETURNING limit_id)
  INSERT INTO flow_released (limit_id) SELECT limit_id FROM given_back;
END $$;
