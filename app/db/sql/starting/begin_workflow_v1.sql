-- Starts a workflow that was deferred (see defer_workflow_v1), if it is due: writes its first steps
-- and the event of a start. The steps of a fork are there already; they are released now. Its time-out
-- p_timeout counts from now. Locks the workflow row FOR NO KEY UPDATE. The other parameters and verdicts
-- are those of start_workflow_v1.
--
-- Whoever begins one workflow holds its row before it adds an entry to a lane, which locks the lane if
-- that is empty. So who begins several (p_is_alone is false) adds their entries after all rows are
-- locked: with the verdict lined_up in the same transaction, with the verdict waits in another one.
--
-- verdicts:
--   fork_started: a fork was started; the caller publishes its released steps, or lines them up.
--   waits: it is due, but flow control has not admitted it. It is in its lane now, if p_is_alone.
--   not_due: nothing was written. It was started or stopped meanwhile, is paused, is not due yet, or
--     has waited too long, so that the reconciler stops it.
CREATE OR REPLACE FUNCTION begin_workflow_v1(
  p_id uuid, p_timeout double precision, p_steps jsonb, p_republish double precision,
  p_asks boolean, p_is_alone boolean DEFAULT true)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
  asking text;
  at timestamptz := clock_timestamp();
  backed_up text := are_backed_up_v1(p_steps);
  are_lined_up boolean := backed_up = 'all';
BEGIN
  SELECT status, paused_at, starts_at, expires_at, forked_from, flow IS NOT NULL AS has_flow, user_id, type, version, priority, payload_hash(input) AS input,
         budget_id INTO w
    FROM workflows WHERE id = p_id FOR NO KEY UPDATE;
  IF NOT FOUND OR w.status <> 'pending' OR w.paused_at IS NOT NULL OR w.starts_at > playalter_now()
     OR w.expires_at <= playalter_now()
  THEN RETURN 'not_due'; END IF;
  IF w.has_flow AND NOT EXISTS (SELECT FROM flow_turns WHERE workflow_id = p_id) THEN
    IF p_is_alone THEN PERFORM enter_flow_v1(p_id); END IF;
    RETURN 'waits';
  END IF;
  IF w.forked_from IS NOT NULL THEN are_lined_up := false; END IF;
  UPDATE workflows SET status = 'running', started_at = at,
         expires_at = playalter_now() + seconds(p_timeout),
         next_wake_at = playalter_now()
           + seconds(least(CASE WHEN are_lined_up THEN 3600 ELSE p_republish END, p_timeout))
   WHERE id = p_id;
  IF w.forked_from IS NULL THEN
    PERFORM add_steps_v1(p_id, p_steps, p_republish, are_lined_up);
  ELSE
    UPDATE steps SET publish_after = clock_timestamp() + seconds(p_republish), ready_at = playalter_now()
     WHERE workflow_id = p_id AND status = 'pending' AND publish_after IS NOT NULL;
  END IF;
  IF are_lined_up AND p_is_alone THEN
    PERFORM line_up_start_v1(p_id, w.user_id, order_in_lane(at, w.priority), p_steps);
  END IF;
  PERFORM append_event_v1(p_id, 'WorkflowStarted', NULL, jsonb_build_object(
    'workflow_type', w.type, 'version', w.version, 'input', w.input,
    'budget', (SELECT amount FROM budgets WHERE workflow_id = p_id)));
  IF p_asks THEN
    SELECT step_key INTO asking FROM needs_person_v1(p_id, NULL) LIMIT 1;
    IF FOUND THEN PERFORM call_person_v1(p_id, asking, 'approver_unknown'); END IF;
  END IF;
  IF w.forked_from IS NOT NULL THEN RETURN 'fork_started'; END IF;
  RETURN CASE backed_up WHEN 'all' THEN 'lined_up' WHEN 'some' THEN 'started_apart' ELSE 'started' END;
END $$;
