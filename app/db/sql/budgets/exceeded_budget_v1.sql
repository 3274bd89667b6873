-- The workflow whose budget is exceeded and limits p_workflow: the budget p_budget, which p_workflow
-- spends, or one around it; the outermost, if several are exceeded. Null if none is. It locks nothing.
CREATE OR REPLACE FUNCTION exceeded_budget_v1(p_workflow uuid, p_budget uuid) RETURNS uuid
LANGUAGE sql STABLE AS $$
  WITH RECURSIVE chain AS (
    SELECT b.*, 0 AS height FROM budgets AS b WHERE workflow_id = p_budget
    UNION ALL
    SELECT b.*, chain.height + 1 FROM chain JOIN budgets AS b ON b.workflow_id = chain.within_id)
  SELECT workflow_id FROM chain
   WHERE CASE WHEN applies AND (is_exceeded OR spent > amount)
              THEN NOT outlives_budget_v1(p_workflow, workflow_id) ELSE false END
   ORDER BY height DESC LIMIT 1
$$;
