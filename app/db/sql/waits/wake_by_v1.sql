-- Makes the reconciler look at a workflow at p_at or earlier. Only the reconciler sets this time
-- (next_wake_at) to a later value; all others only set it to an earlier one. The caller holds the
-- workflow row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION wake_by_v1(p_workflow uuid, p_at timestamptz) RETURNS void LANGUAGE sql AS $$
  UPDATE workflows SET next_wake_at = p_at
   WHERE id = p_workflow AND next_wake_at > p_at AND completed_at IS NULL
$$;
