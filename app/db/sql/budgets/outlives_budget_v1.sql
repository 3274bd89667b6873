-- Whether the budget of p_owner, a workflow above p_workflow, limits p_workflow no more: this
-- workflow, or one between the two, has passed its pivot (the step after which nothing is undone) and
-- goes on beyond the budgets above it (see stop_workflow_v1). It locks nothing.
CREATE OR REPLACE FUNCTION outlives_budget_v1(p_workflow uuid, p_owner uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
  WITH RECURSIVE path AS (
    SELECT parent_id, outlives_budget FROM workflows WHERE id = p_workflow AND id <> p_owner
    UNION ALL
    SELECT w.parent_id, w.outlives_budget FROM path JOIN workflows AS w ON w.id = path.parent_id
     WHERE w.id <> p_owner)
  SELECT EXISTS (SELECT FROM path WHERE outlives_budget)
$$;
