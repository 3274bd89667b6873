-- Tells a child's parent that the child has ended: a delivery of our own, committed with the
-- child's last event. Does nothing for a workflow without a parent. The parent is another workflow,
-- and is woken by another transaction.
CREATE OR REPLACE FUNCTION tell_parent_v1(p_workflow uuid, p_parent uuid, p_status text) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload)
  SELECT 'control', format('workflow:%s:%s', p_workflow, p_status), 'workflow:' || p_workflow,
         'workflow.' || p_status, '{}' WHERE p_parent IS NOT NULL
  ON CONFLICT DO NOTHING
$$;
