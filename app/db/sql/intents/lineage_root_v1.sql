-- The oldest workflow from which a workflow comes: of a fork, the workflow that was forked; of a
-- child, its parent; and so on. Workflows with the same root are related. Null if there is no such
-- workflow. Any of them may be archived.
CREATE OR REPLACE FUNCTION lineage_root_v1(p_workflow uuid) RETURNS uuid LANGUAGE sql STABLE AS $$
  WITH RECURSIVE known AS NOT MATERIALIZED (
    SELECT id, coalesce(forked_from, parent_id) AS origin FROM workflows
    UNION ALL
    SELECT workflow_id, coalesce(forked_from, parent_id) FROM archived),
  line AS (
    SELECT id, origin FROM known WHERE id = p_workflow
    UNION
    SELECT w.id, w.origin FROM line JOIN known AS w ON w.id = line.origin)
  SELECT id FROM line WHERE origin IS NULL
$$;
