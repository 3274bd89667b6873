-- Lets the steps of a running workflow that wait for a budget ask again at once, because a budget
-- that limits the workflow has been raised. Locks the workflow row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION wake_for_budget_v1(p_workflow uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM workflows WHERE id = p_workflow AND status = 'running' FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN; END IF;
  UPDATE steps SET wake_at = playalter_now()
   WHERE workflow_id = p_workflow AND status = 'pending' AND wake_at > playalter_now()
     AND error_code IN ('waits_for_budget', 'over_budget');
  IF FOUND THEN PERFORM wake_by_v1(p_workflow, playalter_now()); END IF;
END $$;
