-- Reserves what a claimed step may cost, p_ceiling in micro-USD, before its action runs. It reserves
-- in the workflow's budget and in all budgets around it, or in none of them. A budget that limits
-- the workflow no more (see stop_workflow_v1) refuses nothing, but counts what is reserved. What the step has
-- reserved before counts. Accepted only from the attempt whose fence (the id of its claim) is
-- current. Called only if the workflow spends a budget. The workflow row is locked first, FOR NO KEY
-- UPDATE, and the budgets last.
--
-- If too little is left, the attempt is over and the step is pending again; no try is counted. While
-- other steps hold reservations, some of these may be given back, so the step waits: it asks again
-- after a pause, which grows with the time for which it has waited, up to a minute. p_waits: the
-- error that says so. If no other step holds one, the budget is exceeded: the workflow becomes due,
-- so that the reconciler stops the workflow that has the budget. p_over: the error that says so.
--
-- verdicts:
--   fenced: nothing was recorded.
--   reserved: the step runs.
--   recorded: the step waits.
--   draining: the workflow is stopping, so the step does not run.
CREATE OR REPLACE FUNCTION reserve_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_ceiling bigint, p_waits jsonb, p_waits_code text,
  p_over jsonb, p_over_code text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
  s record;
  b record;
  at uuid;
  is_over boolean;
BEGIN
  SELECT status, budget_id INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  SELECT coalesce(reserved, 0) AS reserved, error_code, held_since, tries, generation, cost INTO s
    FROM steps
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running';
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF w.status <> 'running' THEN
    PERFORM put_off_step_v1(p_workflow, p_key, p_waits, p_waits_code);
    RETURN 'draining';
  END IF;
  IF s.reserved >= p_ceiling THEN RETURN 'reserved'; END IF;
  at := w.budget_id;
  WHILE at IS NOT NULL LOOP
    SELECT * INTO b FROM budgets WHERE workflow_id = at FOR NO KEY UPDATE;
    IF b.applies AND b.spent + b.reserved - s.reserved + p_ceiling > b.amount
       AND NOT outlives_budget_v1(p_workflow, at) THEN
      is_over := b.reserved = s.reserved;
      UPDATE budgets SET is_exceeded = true WHERE workflow_id = at AND is_over;
      EXIT;
    END IF;
    at := b.within_id;
  END LOOP;
  IF is_over IS NULL THEN
    UPDATE steps SET reserved = p_ceiling WHERE workflow_id = p_workflow AND key = p_key;
    RETURN 'reserved';
  END IF;
  PERFORM put_off_step_v1(p_workflow, p_key, CASE WHEN is_over THEN p_over ELSE p_waits END,
                          CASE WHEN is_over THEN p_over_code ELSE p_waits_code END);
  IF is_over THEN PERFORM wake_by_v1(p_workflow, playalter_now()); END IF;
  RETURN 'recorded';
END $$;
