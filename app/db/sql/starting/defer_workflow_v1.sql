-- Accepts a workflow that starts later: writes its row, which is pending and has no steps, and its
-- first event. It waits for an instant, for flow control, or for both; begin_workflow_v1 starts it.
--
-- It starts at p_starts_at, or p_delay seconds from now if that is null; if both are null, as soon as
-- flow control admits it. The reconciler looks at it when its start is due. If it has not started
-- p_within seconds after that (or after now, if p_starts_at has passed), it is stopped as timed out;
-- null: it waits without a bound. p_flow: the terms of flow control, see chains/flow/stored.py; null if
-- nothing controls the start. Until it is due, it is in no lane. p_has_steps: the caller adds its steps
-- now (it is a fork). The other parameters are those of start_workflow_v1.
--
-- verdicts:
--   deferred: it waits for its instant.
--   waits: it waits in a lane, and admit_starts_v1 admits it.
--   full: too many wait in its lane. Nothing was written.
--   parent_stopped: as in start_workflow_v1
CREATE OR REPLACE FUNCTION defer_workflow_v1(
  p_id uuid, p_user uuid, p_type text, p_version integer, p_input jsonb, p_idempotency_key text,
  p_request_hash bytea, p_priority integer, p_budget bigint, p_artifacts uuid[],
  p_starts_at timestamptz, p_delay double precision, p_within double precision,
  p_flow jsonb DEFAULT NULL, p_parent uuid DEFAULT NULL, p_parent_key text DEFAULT NULL,
  p_depth integer DEFAULT 0, p_has_steps boolean DEFAULT false,
  p_is_checked boolean DEFAULT false)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  home record;
  now_here timestamptz := playalter_now();
  at timestamptz := coalesce(p_starts_at, now_here + seconds(p_delay));
  waits boolean := p_flow IS NOT NULL AND coalesce(at <= now_here, true);
  lane bigint;
  expires timestamptz := greatest(at, now_here) + seconds(p_within);
BEGIN
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
    p_flow := flow_of_child_v1(p_parent, p_flow, home.organisation_id, home.project_id);
  END IF;
  IF waits THEN
    lane := flow_lane_v1(p_type, p_flow, home.organisation_id, home.project_id,
                         -- The step of a parent could not wait for its lane to be less full.
                         CASE WHEN p_parent IS NULL THEN (p_flow ->> 'depth')::integer END);
    IF lane IS NULL THEN RETURN 'full'; END IF;
  END IF;
  INSERT INTO workflows (id, organisation_id, project_id, user_id, type, version, status, input,
                         idempotency_key, request_hash, next_wake_at, expires_at, priority,
                         parent_id, parent_key, depth, budget_id, starts_at, lane_id, flow)
  VALUES (p_id, home.organisation_id, home.project_id, p_user, p_type, p_version, 'pending', p_input,
          p_idempotency_key, p_request_hash,
          -- The reconciler need not look at a workflow that waits in a lane.
          CASE WHEN waits THEN least(now_here + interval '1 hour', expires) ELSE at END,
          expires, p_priority, p_parent, p_parent_key, p_depth,
          CASE WHEN p_budget IS NULL THEN home.budget_id ELSE p_id END, at, lane, p_flow);
  IF p_budget IS NOT NULL THEN
    INSERT INTO budgets (workflow_id, within_id, amount) VALUES (p_id, home.budget_id, p_budget);
  END IF;
  IF p_artifacts IS NOT NULL THEN PERFORM mention_artifacts_v1(p_id, p_user, p_artifacts); END IF;
  PERFORM append_event_v1(p_id, 'WorkflowDeferred', NULL, jsonb_build_object(
    'workflow_type', p_type, 'version', p_version, 'input', payload_hash(p_input),
    'parent', p_parent, 'parent_step', p_parent_key, 'has_steps', nullif(p_has_steps, false),
    'starts_at', utc_text(at), 'within_seconds', p_within, 'budget', p_budget,
    'waits', nullif(p_flow IS NOT NULL, false)));
  IF NOT waits THEN RETURN 'deferred'; END IF;
  INSERT INTO flow_entries (lane_id, order_at, workflow_id, cost)
  SELECT lane, order_in_flow(created_at, starts_at, priority, flow), p_id,
         (flow ->> 'cost')::double precision FROM workflows WHERE id = p_id;
  RETURN 'waits';
END $$;
