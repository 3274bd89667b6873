-- The failed steps of a workflow that were let pass: items of a map that goes on. What follows them
-- has been settled. Returns all of them at once, for there may be thousands.
CREATE OR REPLACE FUNCTION tolerated_steps_v1(p_workflow uuid) RETURNS SETOF text LANGUAGE sql STABLE AS $$
  SELECT body::jsonb ->> 'step' FROM events
   WHERE workflow_id = p_workflow AND body LIKE '%"is_tolerated"%'
     AND body::jsonb ->> 'type' = 'StepFailed'
  UNION
  SELECT key FROM steps
   WHERE workflow_id = p_workflow AND status = 'failed' AND adopted_from IS NOT NULL
$$;
