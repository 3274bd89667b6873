-- Of the given steps, those that the caller may publish: they are due for a copy, and their
-- publish_after is moved p_republish seconds away in the same statement. Of several callers one
-- wins each step, so that a backlog cannot multiply itself. Called before a step is published:
-- a worker whose step was recorded before, claim_step_v1, and the reconciler.
CREATE OR REPLACE FUNCTION win_publish_v1(p_workflow uuid, p_keys text[], p_republish double precision)
RETURNS text[] LANGUAGE sql AS $$
  WITH won AS (
    UPDATE steps SET publish_after = clock_timestamp() + seconds(p_republish)
     WHERE workflow_id = p_workflow AND key = ANY (p_keys)
       AND status IN ('pending', 'unknown') AND publish_after <= clock_timestamp()
    RETURNING key)
  SELECT coalesce(array_agg(key ORDER BY key), '{}') FROM won
$$;
