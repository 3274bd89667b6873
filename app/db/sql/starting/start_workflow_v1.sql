-- Starts one workflow: its row, its first steps and its first event. The workflow belongs to the
-- organisation and project of its parent, or to those of the user where it has no parent. Its first
-- steps are published by the caller, so that they are not due for another copy before p_republish
-- seconds.
--
-- Returns false, with nothing written, for a child whose parent is stopping. The parent's row is
-- taken FOR KEY SHARE, so that no child begins behind the barrier of its parent's stop. p_steps is
-- what add_steps_v1 takes, p_artifacts what mention_artifacts_v1 takes; p_timeout counts from now.
-- Called to start a workflow or a child, and by submit_workflow_v1 and by fork_workflow_v1.
CREATE OR REPLACE FUNCTION start_workflow_v1(
  p_id uuid, p_user uuid, p_type text, p_version integer, p_input jsonb,
  p_idempotency_key text, p_request_hash bytea, p_timeout double precision,
  p_steps jsonb, p_republish double precision, p_priority integer,
  p_parent uuid, p_parent_key text, p_depth integer, p_budget bigint,
  p_artifacts uuid[])
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  home record;
BEGIN
  IF p_parent IS NULL THEN
    SELECT organisation_id, project_id INTO home FROM users WHERE id = p_user;
  ELSE
    SELECT organisation_id, project_id INTO home
      FROM workflows WHERE id = p_parent AND status = 'running' FOR KEY SHARE;
    IF NOT FOUND THEN RETURN false; END IF;
  END IF;
  INSERT INTO workflows (id, organisation_id, project_id, user_id, type, version, status, input,
                         idempotency_key, request_hash, next_wake_at, expires_at, started_at, priority,
                         parent_id, parent_key, depth, budget)
  VALUES (p_id, home.organisation_id, home.project_id, p_user, p_type, p_version, 'running', p_input,
          p_idempotency_key, p_request_hash, playalter_now() + seconds(least(p_republish, p_timeout)),
          playalter_now() + seconds(p_timeout), clock_timestamp(), p_priority, p_parent, p_parent_key,
          p_depth, p_budget);
  IF p_artifacts IS NOT NULL THEN PERFORM mention_artifacts_v1(p_id, p_user, p_artifacts); END IF;
  PERFORM add_steps_v1(p_id, p_steps, p_republish);
  PERFORM append_event_v1(p_id, 'WorkflowStarted', NULL, jsonb_build_object(
    'workflow_type', p_type, 'version', p_version, 'input', payload_hash(p_input),
    'parent', p_parent, 'parent_step', p_parent_key, 'budget', p_budget));
  RETURN true;
END $$;
