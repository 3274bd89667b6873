-- Adds a cost of a child to what it has cost the workflows above it. Does nothing for a workflow
-- without a parent. The caller holds the child's row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION tell_ancestors_v1(p_workflow uuid, p_spent bigint) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO child_costs (ancestor_id, workflow_id, spent)
  WITH RECURSIVE above AS (
    SELECT parent_id AS id FROM workflows WHERE id = p_workflow
    UNION ALL
    SELECT w.parent_id FROM above JOIN workflows AS w ON w.id = above.id)
  SELECT id, p_workflow, p_spent FROM above WHERE id IS NOT NULL
  ON CONFLICT (ancestor_id, workflow_id) DO UPDATE SET spent = child_costs.spent + excluded.spent
$$;
