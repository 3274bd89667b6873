-- Extends the leases of one process, several at once, never past the deadline of each step; returns
-- the fences whose leases were extended. A row that another transaction is writing just now is
-- passed over: its renewal is asked for again at the process's next tick, a third of a lease before
-- the lease ends. A renewal that is lost with a crash of the server does no harm, so its commit is
-- not flushed.
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
