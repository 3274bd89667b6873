-- Stores a delivery (a row of webhook_deliveries) that tells the parent of a workflow that this
-- child has ended. It is committed together with the child's last event. Another transaction wakes
-- the parent, because the parent is another workflow. Does nothing if the workflow has no parent.
CREATE OR REPLACE FUNCTION tell_parent_v1(p_workflow uuid, p_parent uuid, p_status text) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload)
  SELECT 'control', format('workflow:%s:%s', p_workflow, p_status), 'workflow:' || p_workflow,
         'workflow.' || p_status, '{}' WHERE p_parent IS NOT NULL
  ON CONFLICT DO NOTHING
$$;
