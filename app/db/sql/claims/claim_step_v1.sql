-- Claims a step: decides who may run it, until when (the lease), and by which token (the fence). A
-- claim is a lease and leaves no event. It never takes a running step, for only the reconciler
-- expires a lease.
--
-- A step can be claimed when it is pending or unknown, released, due, and its workflow lets it run:
-- a running workflow its steps, while it is within its budget; a stopping one its compensations,
-- and unknown steps, which are looked up; a paused one none. The compensation of an orphan effect
-- runs in a workflow of any status, and after its end. The workflow row is taken FOR KEY SHARE:
-- claims do not wait for outcomes, and the barrier of a stop or a pause waits for claims.
--
-- verdicts: claimed (`skips`: a person asked that the step be passed over)
--           | done (it was recorded before; `released`: its successors, won for publishing by this caller;
--             `joined`: the join among them)
--           | skip (it is not to be run now)
CREATE OR REPLACE FUNCTION claim_step_v1(
  p_workflow uuid, p_key text, p_lease double precision, p_attempt double precision,
  p_republish double precision)
RETURNS TABLE (verdict text, fence uuid, prior text, tries integer, generation integer,
               external_id text, input jsonb, item jsonb, expired boolean, undo boolean,
               stopping boolean, skips boolean, released text[], joined text, user_id uuid, type text,
               version integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  won text[];
BEGIN
  -- Not flushed: where a crash of the server loses a claim, the step runs again. The flush of an
  -- intent or an outcome, which comes before anything that matters, carries the claim to disk too.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT workflows.status, paused_at, user_id, type, version, spent <= budget AS is_within,
         completed_at IS NOT NULL AS has_ended INTO w
    FROM workflows WHERE id = p_workflow FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'skip', NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb, NULL::jsonb, false,
                        false, false, false, NULL::text[], NULL, NULL::uuid, NULL, 0;
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
              WHEN w.status = 'running' THEN kind = 'step' AND coalesce(w.is_within, true)
              WHEN w.status = 'compensating' THEN kind <> 'step' OR status = 'unknown'
              ELSE false END
  RETURNING steps.fence, old.status::text AS prior, steps.tries, steps.generation, steps.external_id,
            steps.input, steps.item, CASE WHEN steps.expires_at IS NULL THEN false
                 ELSE steps.expires_at <= playalter_now() END AS expired,
            steps.kind <> 'step' AS undo, steps.skip_requested INTO s;
  IF FOUND THEN
    RETURN QUERY SELECT 'claimed', s.fence, s.prior, s.tries, s.generation, s.external_id, s.input,
                        s.item, s.expired, s.undo, w.status = 'compensating', s.skip_requested,
                        NULL::text[],
                        NULL, w.user_id, w.type, w.version;
    RETURN;
  END IF;
  SELECT steps.status, next_keys, join_key INTO s
    FROM steps WHERE workflow_id = p_workflow AND key = p_key;
  IF NOT FOUND OR s.status NOT IN ('succeeded', 'skipped') OR w.status <> 'running'
     OR w.paused_at IS NOT NULL THEN
    RETURN QUERY SELECT 'skip', NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb, NULL::jsonb, false,
                        false, false, false, NULL::text[], NULL, NULL::uuid, NULL, 0;
    RETURN;
  END IF;
  won := win_publish_v1(p_workflow, coalesce(s.next_keys, ARRAY[s.join_key]), p_republish);
  RETURN QUERY SELECT 'done', NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb, NULL::jsonb, false, false, false,
                      false, won, CASE WHEN s.join_key = ANY (won) THEN s.join_key END,
                      NULL::uuid, NULL, 0;
END $$;
