-- Claims several steps that one message carries. They are parts of one join, and their action is
-- quick. The conditions for a claim, and the lock on the workflow row, are those of claim_step_v1
-- for a running workflow.
--
-- Returns a row for each step that can be claimed, and no row for a step that must not run now. If
-- `is_claimed` is false, the step is not claimed yet, because it is not in its plain first state:
-- its outcome is unknown, it has a wake_at, an external id or a time-out, or a person asked to skip
-- it. The caller claims such a step alone by claim_step_v1.
CREATE OR REPLACE FUNCTION claim_siblings_v1(
  p_workflow uuid, p_keys text[], p_lease double precision, p_attempt double precision)
RETURNS TABLE (key text, is_claimed boolean, fence uuid, tries integer, generation integer, input jsonb,
               item jsonb, user_id uuid, type text, version integer)
LANGUAGE plpgsql
-- As in submit_workflow_v1: each statement is planned once.
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  w record;
BEGIN
  -- The commit is not flushed, for the same reason as in claim_step_v1.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT status, paused_at, user_id, type, version,
         CASE WHEN budget_id IS NULL THEN true ELSE exceeded_budget_v1(p_workflow, budget_id) IS NULL END
           AS is_within INTO w
    FROM workflows WHERE id = p_workflow FOR KEY SHARE;
  IF NOT FOUND OR w.status <> 'running' OR w.paused_at IS NOT NULL
     OR NOT w.is_within THEN
    RETURN;
  END IF;
  RETURN QUERY
  WITH free AS MATERIALIZED (
    -- Skip rows that another transaction holds, so that this statement never waits. The rows
    -- are locked in key order, as everywhere.
    SELECT s.key FROM steps AS s
     WHERE s.workflow_id = p_workflow AND s.key = ANY (p_keys) AND s.status = 'pending'
     ORDER BY s.key FOR NO KEY UPDATE SKIP LOCKED),
  claimed AS (
    UPDATE steps SET
        status = 'running', fence = gen_random_uuid(), claims = claims + 1,
        lease_until = clock_timestamp() + seconds(least(p_lease, p_attempt)),
        deadline_at = clock_timestamp() + seconds(p_attempt),
        started_at = coalesce(started_at, clock_timestamp())
     WHERE workflow_id = p_workflow AND steps.key IN (SELECT free.key FROM free)
       AND publish_after IS NOT NULL AND status = 'pending' AND wake_at IS NULL
       AND external_id IS NULL AND expires_at IS NULL AND kind = 'step' AND NOT skip_requested
    RETURNING steps.key, steps.fence, steps.tries, steps.generation, steps.input, steps.item)
  SELECT c.key, true, c.fence, c.tries, c.generation, c.input, c.item, w.user_id, w.type, w.version
    FROM claimed AS c
  UNION ALL
  SELECT s.key, false, NULL, 0, 0, NULL, NULL, NULL, NULL, 0
    FROM steps AS s
   WHERE s.workflow_id = p_workflow AND s.key = ANY (p_keys) AND s.publish_after IS NOT NULL
     AND (s.status = 'unknown' OR s.status = 'pending' AND (s.wake_at IS NOT NULL
          OR s.external_id IS NOT NULL OR s.expires_at IS NOT NULL OR s.skip_requested));
  IF EXISTS (SELECT FROM queues WHERE is_backed_up) THEN
    PERFORM leave_lane_v1(p_workflow, p_keys);
  END IF;
END $$;
