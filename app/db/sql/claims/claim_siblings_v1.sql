-- Claims several steps that one message carries, parts of one join whose action is quick. What may
-- be claimed, and the lock on the workflow row, are those of claim_step_v1 for a running workflow.
--
-- Returns a row for each step that can be claimed. Where `is_claimed` is false the step is not
-- plain (a person asked to skip it, it was tried before, or it waits for a time), and the caller
-- claims it alone by claim_step_v1. No row means that the step is not to be run now.
CREATE OR REPLACE FUNCTION claim_siblings_v1(
  p_workflow uuid, p_keys text[], p_lease double precision, p_attempt double precision)
RETURNS TABLE (key text, is_claimed boolean, fence uuid, tries integer, generation integer, input jsonb,
               item jsonb, user_id uuid, type text, version integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
BEGIN
  -- Not flushed, for the same reason as the claim of claim_step_v1.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT status, paused_at, user_id, type, version, spent <= budget AS is_within INTO w
    FROM workflows WHERE id = p_workflow FOR KEY SHARE;
  IF NOT FOUND OR w.status <> 'running' OR w.paused_at IS NOT NULL
     OR NOT coalesce(w.is_within, true) THEN
    RETURN;
  END IF;
  RETURN QUERY
  WITH free AS MATERIALIZED (
    -- Locked in one order, and passing over what another transaction holds: no deadlock, no wait.
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
END $$;
