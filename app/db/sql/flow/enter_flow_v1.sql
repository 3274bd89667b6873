-- Adds a pending workflow to its lane, unless it is there: it was deferred and is due, was resumed, or
-- its entry was lost. The caller holds the workflow row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION enter_flow_v1(p_workflow uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  w record;
  lane bigint;
BEGIN
  SELECT type, flow, organisation_id, project_id, created_at, starts_at, priority INTO w
    FROM workflows WHERE id = p_workflow;
  lane := flow_lane_v1(w.type, w.flow, w.organisation_id, w.project_id, NULL);
  UPDATE workflows SET lane_id = lane WHERE id = p_workflow AND lane_id IS DISTINCT FROM lane;
  INSERT INTO flow_entries (lane_id, order_at, workflow_id, cost)
  VALUES (lane, order_in_flow(w.created_at, w.starts_at, w.priority, w.flow), p_workflow,
          (w.flow ->> 'cost')::double precision)
  ON CONFLICT DO NOTHING;
END $$;
