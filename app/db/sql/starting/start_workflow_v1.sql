-- Starts one workflow: writes its row, its first steps and its first event. A child belongs to the
-- organisation and project of its parent; another workflow belongs to those of its user. The caller
-- publishes the first steps, so they are not published again before p_republish seconds have
-- passed.
--
-- verdicts:
--   started: the caller publishes the first steps.
--   lined_up: their queue is backed up, and admit_v1 publishes them (see line_up_v1).
--   started_apart: the first steps have several queues, of which some are backed up. The caller
--     lines up the steps of these, and publishes the others.
--   waits, full: flow control has p_flow, see defer_workflow_v1. The steps are not written yet.
--   parent_stopped: the parent does not run any more. Nothing was written.
--
-- The parent's row is locked
-- FOR KEY SHARE, so that the barrier of the parent's stop (a lock FOR UPDATE) waits for this start,
-- and no child starts after it. p_steps is as in add_steps_v1, p_artifacts as in
-- mention_artifacts_v1. p_timeout is in seconds from now. p_budget: the workflow's own budget in
-- micro-USD; null if it has none, so that a child spends its parent's.
-- p_is_checked: the caller holds the lock of the idempotency key, and no start is known by it.
-- p_asks: p_steps may have addresses that an approval will ask. If nobody has one of them, the
-- workflow starts and is marked for attention. Called by submit_workflow_v1 and fork_workflow_v1, and for other starts and for
-- children by Python.
CREATE OR REPLACE FUNCTION start_workflow_v1(
  p_id uuid, p_user uuid, p_type text, p_version integer, p_input jsonb,
  p_idempotency_key text, p_request_hash bytea, p_timeout double precision,
  p_steps jsonb, p_republish double precision, p_priority integer,
  p_parent uuid, p_parent_key text, p_depth integer, p_budget bigint,
  p_artifacts uuid[], p_asks boolean DEFAULT false, p_flow jsonb DEFAULT NULL,
  p_has_steps boolean DEFAULT false, p_is_checked boolean DEFAULT false)
RETURNS text LANGUAGE plpgsql
-- As in submit_workflow_v1: each statement is planned once.
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  home record;
  asking text;
  at timestamptz := clock_timestamp();
  -- Read once: next_wake_at may not be after expires_at.
  now_here timestamptz := playalter_now();
  backed_up text := are_backed_up_v1(p_steps);
  are_lined_up boolean := backed_up = 'all';
BEGIN
  IF p_flow IS NOT NULL THEN
    RETURN defer_workflow_v1(p_id, p_user, p_type, p_version, p_input, p_idempotency_key,
      p_request_hash, p_priority, p_budget, p_artifacts, NULL, NULL, NULL, p_flow, p_parent,
      p_parent_key, p_depth, p_has_steps, p_is_checked);
  END IF;
  IF p_idempotency_key IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock(idempotency_lock_v1(p_user, p_idempotency_key));
    IF NOT p_is_checked THEN PERFORM unless_known_v1(p_id, p_user, p_idempotency_key); END IF;
  END IF;
  IF p_parent IS NULL THEN
    SELECT organisation_id, project_id, NULL::uuid AS budget_id INTO home
      FROM users WHERE id = p_user;
  ELSE
    SELECT organisation_id, project_id, budget_id INTO home
      FROM workflows WHERE id = p_parent AND status = 'running' FOR KEY SHARE;
    IF NOT FOUND THEN RETURN 'parent_stopped'; END IF;
  END IF;
  INSERT INTO workflows (id, organisation_id, project_id, user_id, type, version, status, input,
                         idempotency_key, request_hash, next_wake_at, expires_at, started_at, priority,
                         parent_id, parent_key, depth, budget_id, is_asleep)
  VALUES (p_id, home.organisation_id, home.project_id, p_user, p_type, p_version, 'running', p_input,
          p_idempotency_key, p_request_hash,
          -- The reconciler need not look at a workflow that is lined up.
          now_here + seconds(least(CASE WHEN are_lined_up THEN 3600 ELSE p_republish END,
                                   p_timeout)),
          now_here + seconds(p_timeout), at, p_priority, p_parent, p_parent_key,
          p_depth, CASE WHEN p_budget IS NULL THEN home.budget_id ELSE p_id END,
          CASE WHEN are_lined_up THEN false END);
  IF p_budget IS NOT NULL THEN
    INSERT INTO budgets (workflow_id, within_id, amount) VALUES (p_id, home.budget_id, p_budget);
  END IF;
  IF p_artifacts IS NOT NULL THEN PERFORM mention_artifacts_v1(p_id, p_user, p_artifacts); END IF;
  PERFORM add_steps_v1(p_id, p_steps, p_republish, are_lined_up);
  IF are_lined_up THEN
    PERFORM line_up_start_v1(p_id, p_user, order_in_lane(at, p_priority::smallint), p_steps);
  END IF;
  PERFORM append_event_v1(p_id, 'WorkflowStarted', NULL, jsonb_build_object(
    'workflow_type', p_type, 'version', p_version, 'input', payload_hash(p_input),
    'parent', p_parent, 'parent_step', p_parent_key, 'budget', p_budget));
  IF p_asks THEN
    SELECT step_key INTO asking FROM needs_person_v1(p_id, NULL) LIMIT 1;
    IF FOUND THEN PERFORM call_person_v1(p_id, asking, 'approver_unknown'); END IF;
  END IF;
  RETURN CASE backed_up WHEN 'all' THEN 'lined_up' WHEN 'some' THEN 'started_apart' ELSE 'started' END;
END $$;
