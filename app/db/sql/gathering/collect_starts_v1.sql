-- Makes p_input, which the caller has made of all items of a closed gathering, the input of its
-- workflow, and removes the items; that is done once. p_flow are the terms of flow control with this
-- input (see chains/flow/stored.py), unless the workflow is in its lane already. Does nothing if the
-- workflow is not pending any more. Locks the workflow's row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION collect_starts_v1(p_workflow uuid, p_input jsonb, p_flow jsonb)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  collected integer;
BEGIN
  PERFORM FROM workflows WHERE id = p_workflow AND status = 'pending' FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN; END IF;
  UPDATE workflows SET flow = p_flow
   WHERE id = p_workflow AND lane_id IS NULL AND flow IS DISTINCT FROM p_flow;
  DELETE FROM start_items WHERE workflow_id = p_workflow;
  GET DIAGNOSTICS collected = ROW_COUNT;
  IF collected = 0 THEN RETURN; END IF;
  UPDATE workflows SET input = p_input WHERE id = p_workflow;
  PERFORM append_event_v1(p_workflow, 'StartsCollected', NULL, jsonb_build_object(
    'input', payload_hash(p_input), 'items', collected));
END $$;
