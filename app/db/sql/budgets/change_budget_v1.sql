-- Changes the budget of a pending or running workflow to p_amount micro-USD, also if it was exceeded and applies
-- no more. p_by (who asked) and p_reason are stored in the event. The caller then lets the steps that
-- wait for the budget ask again (see wake_for_budget_v1). Locks the workflow row FOR NO KEY UPDATE,
-- then the budget's row.
--
-- verdicts:
--   changed
--   not_running: the workflow is stopping or has ended.
--   no_budget: the workflow has no budget of its own.
--   too_low: more has been spent and reserved; nothing was done.
CREATE OR REPLACE FUNCTION change_budget_v1(
  p_workflow uuid, p_amount bigint, p_by text, p_reason text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
  b record;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w NOT IN ('pending', 'running') THEN RETURN 'not_running'; END IF;
  SELECT spent + reserved AS used INTO b FROM budgets
   WHERE workflow_id = p_workflow FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN 'no_budget'; END IF;
  IF b.used > p_amount THEN RETURN 'too_low'; END IF;
  UPDATE budgets SET amount = p_amount, applies = true, is_exceeded = false
   WHERE workflow_id = p_workflow;
  PERFORM append_event_v1(p_workflow, 'BudgetChanged', NULL, jsonb_build_object(
    'budget', p_amount, 'by', p_by, 'reason', p_reason));
  PERFORM wake_by_v1(p_workflow, playalter_now());
  RETURN 'changed';
END $$;
