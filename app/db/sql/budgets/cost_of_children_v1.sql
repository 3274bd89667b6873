-- What the platforms have cost in the workflows below a workflow: its children, their children, and
-- so on, in micro-USD.
CREATE OR REPLACE FUNCTION cost_of_children_v1(p_workflow uuid) RETURNS bigint
LANGUAGE sql STABLE AS $$
  WITH RECURSIVE below AS (
    SELECT id, spent FROM workflows WHERE parent_id = p_workflow
    UNION ALL
    SELECT w.id, w.spent FROM below JOIN workflows AS w ON w.parent_id = below.id)
  SELECT coalesce(sum(spent), 0)::bigint FROM below
$$;
