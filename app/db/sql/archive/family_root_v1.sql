-- The workflow without a parent above a workflow, live or archived; null if there is none.
CREATE OR REPLACE FUNCTION family_root_v1(p_workflow uuid) RETURNS uuid LANGUAGE sql STABLE AS $$
  WITH RECURSIVE path AS (
    SELECT id, parent_id FROM workflows WHERE id = p_workflow
    UNION ALL
    SELECT w.id, w.parent_id FROM path JOIN workflows AS w ON w.id = path.parent_id)
  SELECT coalesce((SELECT id FROM path WHERE parent_id IS NULL),
                  (SELECT root_id FROM archived WHERE workflow_id = p_workflow))
$$;
