-- The oldest workflow from which a workflow comes: of a fork, the workflow that was forked; of a
-- child, its parent; and so on. Workflows with the same root are related. Null if there is no such
-- workflow.
CREATE OR REPLACE FUNCTION lineage_root_v1(p_workflow uuid) RETURNS uuid LANGUAGE sql STABLE AS $$
  WITH RECURSIVE line AS (
    SELECT id, coalesce(forked_from, parent_id) AS origin FROM workflows WHERE id = p_workflow
    UNION ALL
    SELECT w.id, coalesce(w.forked_from, w.parent_id)
      FROM line JOIN workflows w ON w.id = line.origin)
  SELECT id FROM line WHERE origin IS NULL
$$;
