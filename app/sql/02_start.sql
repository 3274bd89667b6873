-- One workflow with its first rows and its first event. Whoever starts it publishes its first steps,
-- so they are not due for another copy before p_republish seconds.
CREATE FUNCTION start_workflow_v1(
  p_id uuid, p_user uuid, p_type text, p_version integer, p_input jsonb,
  p_idempotency_key text, p_request_hash bytea, p_timeout double precision,
  p_steps jsonb, p_republish double precision)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO workflows (id, user_id, type, version, status, input, idempotency_key, request_hash,
                         next_wake_at, expires_at, started_at)
  VALUES (p_id, p_user, p_type, p_version, 'running', p_input, p_idempotency_key, p_request_hash,
          playalter_now() + seconds(p_republish), playalter_now() + seconds(p_timeout),
          clock_timestamp());
  PERFORM add_steps_v1(p_id, p_steps, p_republish);
  PERFORM append_event_v1(p_id, 'WorkflowStarted', NULL, jsonb_build_object(
    'workflow_type', p_type, 'version', p_version, 'input', payload_hash(p_input)));
END $$;

-- p_steps: an array of rows; `released` ones may be claimed at once.
CREATE FUNCTION add_steps_v1(p_workflow uuid, p_steps jsonb, p_republish double precision)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO steps (workflow_id, key, task_id, position, action, status, undo, next_keys,
                     join_key, item_heads, remaining, item, publish_after)
  SELECT p_workflow, s.key, s.task_id, s.position, s.action, 'pending', coalesce(s.undo, false),
         s.next_keys, s.join_key, s.item_heads, s.remaining, s.item,
         CASE WHEN s.released THEN clock_timestamp() + seconds(p_republish) END
    FROM jsonb_to_recordset(p_steps) AS s (key text, task_id uuid, position integer, action text,
         undo boolean, next_keys text[], join_key text, item_heads text[], remaining integer,
         item jsonb, released boolean)
$$;
