-- Lines up released steps whose publish_after is set already, in a transaction of its own (see
-- line_up_v1). p_wide: queues that are backed up from now on, because the caller releases more steps
-- than it should publish at once. Locks the workflow row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION line_up_released_v1(p_workflow uuid, p_keys text[], p_wide text[])
RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
  -- The commit is not flushed. If it is lost, the reconciler publishes the steps.
  PERFORM set_config('synchronous_commit', 'off', true);
  PERFORM FROM workflows WHERE id = p_workflow AND status = 'running' AND paused_at IS NULL
     FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN '{}'; END IF;
  INSERT INTO queues AS q (name, is_backed_up) SELECT name, true FROM unnest(p_wide) AS wide (name)
   ORDER BY name
  ON CONFLICT (name) DO UPDATE SET is_backed_up = true WHERE NOT q.is_backed_up;
  RETURN line_up_v1(p_workflow, p_keys);
END $$;
