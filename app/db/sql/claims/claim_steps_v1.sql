-- Claims steps of several workflows in one transaction, each as claim_step_v1 does. The parameters
-- are arrays of its parameters, and `call_number` counts the calls from 1. A call whose workflow
-- another transaction has locked is left out, so that a workflow that is being stopped does not hold
-- up the others. The rows are locked in ascending order.
CREATE OR REPLACE FUNCTION claim_steps_v1(
  p_workflow uuid[], p_key text[], p_lease double precision[], p_attempt double precision[],
  p_republish double precision[])
RETURNS TABLE (call_number integer, verdict text, fence uuid, prior text, tries integer,
               generation integer, external_id text, input jsonb, item jsonb, expired boolean,
               undo boolean, stopping boolean, skips boolean, released text[], joined text,
               user_id uuid, type text, version integer, is_budgeted boolean, code text,
               begun_at timestamptz, given jsonb)
LANGUAGE plpgsql
-- As in submit_workflow_v1: each statement is planned once.
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  n integer;
BEGIN
  FOR n IN SELECT u.n FROM unnest(p_workflow, p_key) WITH ORDINALITY AS u (workflow, key, n)
            ORDER BY u.workflow, u.key LOOP
    PERFORM FROM workflows WHERE id = p_workflow[n] FOR KEY SHARE SKIP LOCKED;
    IF FOUND THEN
      RETURN QUERY SELECT n, f.* FROM claim_step_v1(
        p_workflow[n], p_key[n], p_lease[n], p_attempt[n], p_republish[n]) AS f;
    END IF;
  END LOOP;
END $$;
