-- Claims a step for one attempt of a worker. The claim sets a lease (the time until which the
-- worker may run the step) and a fence (the id of this claim, without which nothing of the attempt
-- is recorded). A claim logs no event. It never takes over a running step: only the reconciler ends
-- an expired lease.
--
-- A step can be claimed if it is pending or unknown, has been released, is due, and its workflow
-- allows it:
--   - A running workflow allows its steps while no budget that it spends is exceeded.
--   - A stopping workflow allows compensations, and unknown steps, whose calls are looked up.
--   - A paused workflow allows nothing.
--   - The compensation of an orphan (an effect at a platform that its step does not own) may run in
--     every status of the workflow. If the workflow is paused, it may run only after the workflow's
--     end.
-- The workflow row is locked FOR KEY SHARE. So claims do not wait for transactions that record
-- outcomes, but the barrier of a stop or a pause (a lock FOR UPDATE) waits for claims in flight.
--
-- verdicts:
--   claimed: the step is running. `skips`: a person asked to skip it. `is_budgeted`: the workflow
--     spends a budget, so a step that costs something must reserve it (see reserve_v1). `code`: the
--     code of the step's error, which says why its last attempt did not end it. `begun_at` is the
--     time at which the workflow started, and `given` is its input, or NULL if that is large.
--   done: the step was recorded earlier. `released`: its successors that this caller must publish;
--     `joined`: the join among them.
--   skip: the step must not run now.
CREATE OR REPLACE FUNCTION claim_step_v1(
  p_workflow uuid, p_key text, p_lease double precision, p_attempt double precision,
  p_republish double precision)
RETURNS TABLE (verdict text, fence uuid, prior text, tries integer, generation integer,
               external_id text, input jsonb, item jsonb, expired boolean, undo boolean,
               stopping boolean, skips boolean, released text[], joined text, user_id uuid, type text,
               version integer, is_budgeted boolean, code text,
               begun_at timestamptz, given jsonb)
LANGUAGE plpgsql
-- As in submit_workflow_v1: each statement is planned once.
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  won text[];
BEGIN
  -- The commit is not flushed. If the server crashes and loses the claim, the step runs again. An
  -- intent or an outcome is flushed before anything that matters, and its flush writes the claim to
  -- disk too.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT workflows.status, paused_at, user_id, type, version, budget_id IS NOT NULL AS is_budgeted,
         CASE WHEN budget_id IS NULL THEN true ELSE exceeded_budget_v1(p_workflow, budget_id) IS NULL END
           AS is_within,
         completed_at IS NOT NULL AS has_ended, started_at,
         CASE WHEN pg_column_size(input) <= 1000 AND pg_column_compression(input) IS NULL
              THEN input END AS given INTO w
    FROM workflows WHERE id = p_workflow FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'skip', NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb, NULL::jsonb, false,
                        false, false, false, NULL::text[], NULL, NULL::uuid, NULL, 0, false, NULL,
                        NULL::timestamptz, NULL::jsonb;
    RETURN;
  END IF;
  UPDATE steps SET
      status = 'running', fence = gen_random_uuid(), claims = claims + 1, wake_at = NULL,
      lease_until = clock_timestamp() + seconds(least(p_lease, p_attempt)),
      deadline_at = clock_timestamp() + seconds(p_attempt),
      started_at = coalesce(started_at, clock_timestamp())
   WHERE workflow_id = p_workflow AND key = p_key
     AND status IN ('pending', 'unknown') AND publish_after IS NOT NULL
     AND (wake_at IS NULL OR wake_at <= playalter_now())
     AND CASE WHEN kind = 'orphan_undo' THEN w.paused_at IS NULL OR w.has_ended
              WHEN w.paused_at IS NOT NULL THEN false
              WHEN w.status = 'running' THEN kind = 'step' AND w.is_within
              WHEN w.status = 'compensating' THEN kind <> 'step' OR status = 'unknown'
              ELSE false END
  RETURNING steps.fence, old.status::text AS prior, steps.tries, steps.generation, steps.external_id,
            steps.input, steps.item, CASE WHEN steps.expires_at IS NULL THEN false
                 ELSE steps.expires_at <= playalter_now() END AS expired,
            steps.kind <> 'step' AS undo, steps.skip_requested, steps.error_code,
            old.publish_after = 'infinity' AS was_lined_up INTO s;
  IF FOUND THEN
    IF s.was_lined_up THEN PERFORM leave_lane_v1(p_workflow, ARRAY[p_key]); END IF;
    RETURN QUERY SELECT 'claimed', s.fence, s.prior, s.tries, s.generation, s.external_id, s.input,
                        s.item, s.expired, s.undo, w.status = 'compensating', s.skip_requested,
                        NULL::text[],
                        NULL, w.user_id, w.type, w.version, w.is_budgeted, s.error_code,
                        w.started_at, w.given;
    RETURN;
  END IF;
  SELECT steps.status, next_keys, join_key INTO s
    FROM steps WHERE workflow_id = p_workflow AND key = p_key;
  IF NOT FOUND OR s.status NOT IN ('succeeded', 'skipped') OR w.status <> 'running'
     OR w.paused_at IS NOT NULL THEN
    RETURN QUERY SELECT 'skip', NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb, NULL::jsonb, false,
                        false, false, false, NULL::text[], NULL, NULL::uuid, NULL, 0, false, NULL,
                        NULL::timestamptz, NULL::jsonb;
    RETURN;
  END IF;
  won := win_publish_v1(p_workflow, coalesce(s.next_keys, ARRAY[s.join_key]), p_republish);
  RETURN QUERY SELECT 'done', NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb, NULL::jsonb, false, false, false,
                      false, won, CASE WHEN s.join_key = ANY (won) THEN s.join_key END,
                      NULL::uuid, NULL, 0, false, NULL, NULL::timestamptz, NULL::jsonb;
END $$;
