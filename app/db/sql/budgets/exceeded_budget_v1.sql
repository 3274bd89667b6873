-- The workflow whose budget is exceeded, if the budget p_budget or one around it is; the outermost,
-- if several are. Null if none is. It locks nothing.
CREATE OR REPLACE FUNCTION exceeded_budget_v1(p_budget uuid) RETURNS uuid LANGUAGE sql STABLE AS $$
  WITH RECURSIVE chain AS (
    SELECT b.*, 0 AS height FROM budgets AS b WHERE workflow_id = p_budget
    UNION ALL
    SELECT b.*, chain.height + 1 FROM chain JOIN budgets AS b ON b.workflow_id = chain.within_id)
  SELECT workflow_id FROM chain WHERE applies AND (is_exceeded OR spent > amount)
   ORDER BY height DESC LIMIT 1
$$;
