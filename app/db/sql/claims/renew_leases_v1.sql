-- Extends several leases of one process, but never past the deadline of the attempt. Returns the
-- fences (ids of claims) whose leases were extended. Rows that another transaction holds are
-- skipped. The process asks for them again at its next tick, at most a second later; the lease then
-- still lasts for more than half of its length. The commit is not flushed, because losing a renewal
-- in a crash of the server does no harm.
CREATE OR REPLACE FUNCTION renew_leases_v1(
  p_workflows uuid[], p_keys text[], p_fences uuid[], p_lease double precision)
RETURNS TABLE (fence uuid) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  RETURN QUERY
  WITH free AS MATERIALIZED (
    SELECT s.workflow_id, s.key
      FROM unnest(p_workflows, p_keys, p_fences) AS asked (workflow_id, key, fence)
      JOIN steps AS s USING (workflow_id, key)
     WHERE s.fence = asked.fence AND s.status = 'running'
     ORDER BY s.workflow_id, s.key FOR NO KEY UPDATE OF s SKIP LOCKED)
  UPDATE steps SET lease_until = least(clock_timestamp() + seconds(p_lease), deadline_at)
    FROM free WHERE steps.workflow_id = free.workflow_id AND steps.key = free.key
  RETURNING steps.fence;
END $$;
