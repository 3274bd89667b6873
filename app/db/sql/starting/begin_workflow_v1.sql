-- Starts a workflow that was deferred (see defer_workflow_v1), if it is due: writes its first steps
-- and the event of a start. Its time-out p_timeout counts from now. Locks the workflow row FOR NO
-- KEY UPDATE. The parameters and the other verdicts are those of start_workflow_v1.
--
-- verdicts:
--   not_due: nothing was written. It was started or stopped meanwhile, is paused, is not due yet, or
--     has waited too long, so that the reconciler stops it.
CREATE OR REPLACE FUNCTION begin_workflow_v1(
  p_id uuid, p_timeout double precision, p_steps jsonb, p_republish double precision,
  p_asks boolean)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
  asking text;
  at timestamptz := clock_timestamp();
  backed_up text := are_backed_up_v1(p_steps);
  are_lined_up boolean := backed_up = 'all';
BEGIN
  SELECT status, paused_at, starts_at, expires_at, user_id, type, version, priority, payload_hash(input) AS input,
         budget_id INTO w
    FROM workflows WHERE id = p_id FOR NO KEY UPDATE;
  IF NOT FOUND OR w.status <> 'pending' OR w.paused_at IS NOT NULL OR w.starts_at > playalter_now()
     OR w.expires_at <= playalter_now()
  THEN RETURN 'not_due'; END IF;
  UPDATE workflows SET status = 'running', started_at = at,
         expires_at = playalter_now() + seconds(p_timeout),
         next_wake_at = playalter_now()
           + seconds(least(CASE WHEN are_lined_up THEN 3600 ELSE p_republish END, p_timeout))
   WHERE id = p_id;
  PERFORM add_steps_v1(p_id, p_steps, p_republish, are_lined_up);
  IF are_lined_up THEN
    PERFORM line_up_start_v1(p_id, w.user_id, order_in_lane(at, w.priority), p_steps);
  END IF;
  PERFORM append_event_v1(p_id, 'WorkflowStarted', NULL, jsonb_build_object(
    'workflow_type', w.type, 'version', w.version, 'input', w.input,
    'budget', (SELECT amount FROM budgets WHERE workflow_id = p_id)));
  IF p_asks THEN
    SELECT step_key INTO asking FROM needs_person_v1(p_id, NULL) LIMIT 1;
    IF FOUND THEN PERFORM call_person_v1(p_id, asking, 'approver_unknown'); END IF;
  END IF;
  RETURN CASE backed_up WHEN 'all' THEN 'lined_up' WHEN 'some' THEN 'started_apart' ELSE 'started' END;
END $$;
