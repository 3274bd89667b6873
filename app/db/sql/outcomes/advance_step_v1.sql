-- Hand to hand: records the success of step n and claims step n+1 in one statement, where the
-- success does nothing but release its one successor p_next. It checks all that finish_step_v1 and
-- claim_step_v1 check. Where anything is out of the ordinary it records the step by finish_step_v1
-- and claims nothing; the verdict is then that function's, and `released` names what follows.
--
-- An UPDATE that names `cost` fires the trigger of the budget, so the cost is written apart, and
-- only where there is one: most steps cost nothing. The workflow row is the first lock, FOR NO KEY
-- UPDATE.
-- verdicts: advanced (with the claim of p_next) | those of finish_step_v1
CREATE OR REPLACE FUNCTION advance_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_output jsonb, p_cost bigint,
  p_calls jsonb, p_republish double precision, p_next text, p_lease double precision,
  p_attempt double precision)
RETURNS TABLE (verdict text, released text[], joined text, fence uuid, prior text, tries integer,
               generation integer, external_id text, input jsonb, item jsonb, expired boolean,
               skips boolean, user_id uuid, type text, version integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  c record;
  real timestamptz := clock_timestamp();
BEGIN
  SELECT status, paused_at, user_id, type, version, spent + p_cost <= budget AS is_within INTO w
    FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status = 'running' AND w.paused_at IS NULL AND coalesce(w.is_within, true) THEN
    UPDATE steps SET status = 'succeeded', output = p_output, input = coalesce(p_input, input),
           error = NULL, error_code = NULL, crashes = 0, lease_until = NULL, deadline_at = NULL,
           finished_at = real
     WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
       AND kind = 'step' AND join_key IS NULL AND next_keys = ARRAY[p_next]
    RETURNING cost INTO s;
    IF FOUND THEN
      IF p_cost <> 0 THEN
        UPDATE steps SET cost = cost + p_cost WHERE workflow_id = p_workflow AND key = p_key
        RETURNING cost INTO s;
      END IF;
      IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
      PERFORM append_event_v1(p_workflow, 'StepSucceeded', p_key, jsonb_build_object(
        'output', payload_hash(p_output), 'cost', nullif(s.cost, 0)));
      UPDATE steps SET
          status = 'running', fence = gen_random_uuid(), claims = claims + 1,
          publish_after = real + make_interval(secs => p_republish),
          lease_until = real + make_interval(secs => least(p_lease, p_attempt)),
          deadline_at = real + make_interval(secs => p_attempt),
          started_at = coalesce(started_at, real)
       WHERE workflow_id = p_workflow AND key = p_next AND status = 'pending'
         AND publish_after IS NULL AND wake_at IS NULL AND kind = 'step'
      RETURNING steps.fence, steps.tries, steps.generation, steps.external_id, steps.input,
                steps.item, steps.skip_requested INTO c;
      IF FOUND THEN
        RETURN QUERY SELECT 'advanced', NULL::text[], NULL, c.fence, 'pending', c.tries,
                            c.generation, c.external_id, c.input, c.item, false, c.skip_requested,
                            w.user_id, w.type,
                            w.version;
      ELSE
        -- Another worker has claimed the successor, so that nothing is left to move.
        RETURN QUERY SELECT 'released', '{}'::text[], NULL, NULL::uuid, NULL, 0, 0, NULL,
                            NULL::jsonb, NULL::jsonb, false, false, NULL::uuid, NULL, 0;
      END IF;
      RETURN;
    END IF;
  END IF;
  RETURN QUERY SELECT f.verdict, f.released, f.joined, NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb,
                      NULL::jsonb, false, false, NULL::uuid, NULL, 0
    FROM finish_step_v1(p_workflow, p_key, p_fence, p_input, p_output, p_cost, p_calls, 'succeeded',
                        NULL, NULL, NULL, NULL, false, p_republish) AS f;
END $$;
