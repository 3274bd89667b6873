-- Accepts a workflow that starts later: writes its row, which is pending and has no steps, and its
-- first event. The reconciler looks at it when its start is due; begin_workflow_v1 starts it then.
--
-- It starts at p_starts_at, or p_delay seconds from now if that is null. If it has not started
-- p_within seconds after that (or after now, if p_starts_at has passed), it is stopped as timed out; null: it waits without a bound. The other
-- parameters are those of start_workflow_v1.
CREATE OR REPLACE FUNCTION defer_workflow_v1(
  p_id uuid, p_user uuid, p_type text, p_version integer, p_input jsonb, p_idempotency_key text,
  p_request_hash bytea, p_priority integer, p_budget bigint, p_artifacts uuid[],
  p_starts_at timestamptz, p_delay double precision, p_within double precision)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  at timestamptz := coalesce(p_starts_at, playalter_now() + seconds(p_delay));
BEGIN
  IF p_idempotency_key IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock(idempotency_lock_v1(p_user, p_idempotency_key));
  END IF;
  INSERT INTO workflows (id, organisation_id, project_id, user_id, type, version, status, input,
                         idempotency_key, request_hash, next_wake_at, expires_at, priority,
                         budget_id, starts_at)
  SELECT p_id, u.organisation_id, u.project_id, p_user, p_type, p_version, 'pending', p_input,
         p_idempotency_key, p_request_hash, at, greatest(at, playalter_now()) + seconds(p_within), p_priority,
         CASE WHEN p_budget IS NOT NULL THEN p_id END, at
    FROM users AS u WHERE u.id = p_user;
  IF p_budget IS NOT NULL THEN
    INSERT INTO budgets (workflow_id, within_id, amount) VALUES (p_id, NULL, p_budget);
  END IF;
  IF p_artifacts IS NOT NULL THEN PERFORM mention_artifacts_v1(p_id, p_user, p_artifacts); END IF;
  PERFORM append_event_v1(p_id, 'WorkflowDeferred', NULL, jsonb_build_object(
    'workflow_type', p_type, 'version', p_version, 'input', payload_hash(p_input),
    'starts_at', utc_text(at), 'within_seconds', p_within, 'budget', p_budget));
END $$;
