-- Returns those of the steps p_keys that the caller must publish now. These are the steps whose
-- publish_after has passed; the same statement sets it to p_republish seconds from now. So only one
-- of several callers gets each step, and a backlog of messages cannot multiply itself. A step that was
-- due has no wake_at after that: it is published, and waits for a worker. Called by
-- claim_step_v1 and by reconcile_workflow_v1.
CREATE OR REPLACE FUNCTION win_publish_v1(p_workflow uuid, p_keys text[], p_republish double precision)
RETURNS text[] LANGUAGE sql AS $$
  WITH won AS (
    UPDATE steps SET publish_after = clock_timestamp() + seconds(p_republish),
           wake_at = CASE WHEN wake_at > playalter_now() THEN wake_at END
     WHERE workflow_id = p_workflow AND key = ANY (p_keys)
       AND status IN ('pending', 'unknown') AND publish_after <= clock_timestamp()
    RETURNING key)
  SELECT coalesce(array_agg(key ORDER BY key), '{}') FROM won
$$;
