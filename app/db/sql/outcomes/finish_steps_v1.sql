-- Records the ends of steps of several workflows in one transaction, each as finish_step_v1 does. The
-- parameters are arrays of its parameters (of text for jsonb), and `call_number` counts the calls
-- from 1. A call whose workflow another transaction has locked is left out. The workflows are locked
-- in ascending order.
CREATE OR REPLACE FUNCTION finish_steps_v1(
  p_workflow uuid[], p_key text[], p_fence uuid[], p_input text[], p_output text[],
  p_cost bigint[], p_calls text[], p_status text[], p_error text[], p_code text[], p_turn text[],
  p_workflow_output text[], p_is_pivot boolean[], p_republish double precision[],
  p_orphan text[], p_ordinal integer[], p_response text[], p_effect_id text[],
  p_effect_address text[], p_reused text[])
RETURNS TABLE (call_number integer, verdict text, released text[], joined text, has_flow boolean)
LANGUAGE plpgsql
-- As in submit_workflow_v1: each statement is planned once.
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  n integer;
BEGIN
  FOR n IN SELECT u.n FROM unnest(p_workflow, p_key) WITH ORDINALITY AS u (workflow, key, n)
            ORDER BY u.workflow, u.key LOOP
    PERFORM FROM workflows WHERE id = p_workflow[n] FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND THEN
      RETURN QUERY SELECT n, f.* FROM finish_step_v1(
        p_workflow[n], p_key[n], p_fence[n], p_input[n]::jsonb, p_output[n]::jsonb, p_cost[n],
        p_calls[n]::jsonb, p_status[n], p_error[n]::jsonb, p_code[n], p_turn[n]::jsonb,
        p_workflow_output[n]::jsonb, p_is_pivot[n], p_republish[n], p_orphan[n]::jsonb,
        p_ordinal[n], p_response[n]::jsonb, p_effect_id[n], p_effect_address[n],
        p_reused[n]::jsonb) AS f;
    END IF;
  END LOOP;
END $$;
