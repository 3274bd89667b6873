-- Whether a workflow is asleep: at least one of its steps waits, and no step is running, unknown,
-- or pending and released, not even with a later due time.
CREATE OR REPLACE FUNCTION is_asleep_v1(p_workflow uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce(bool_or(status = 'waiting'), false)
         AND NOT coalesce(bool_or(status IN ('running', 'unknown')
                                  OR status = 'pending' AND publish_after IS NOT NULL), false)
    FROM steps WHERE workflow_id = p_workflow
$$;
