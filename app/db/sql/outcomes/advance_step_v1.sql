-- Records the success of a step and claims its one successor p_next in the same call, so that the
-- worker runs the successor without a message. This needs a step that only releases p_next. All
-- checks of finish_step_v1 and claim_step_v1 are made here too. In every other case the step is
-- recorded by finish_step_v1 and nothing is claimed; the verdict is then that of finish_step_v1,
-- and `released` lists the keys to publish.
--
-- A step that has cost something, of a workflow that spends a budget, is recorded by finish_step_v1
-- too, because the cost may exceed the budget. The workflow row is locked first, FOR NO KEY UPDATE.
-- p_ordinal, p_response, p_effect_id and p_effect_address: as in finish_step_v1.
-- verdicts: advanced (with the claim of p_next), or those of finish_step_v1
CREATE OR REPLACE FUNCTION advance_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_output jsonb, p_cost bigint,
  p_calls jsonb, p_republish double precision, p_next text, p_lease double precision,
  p_attempt double precision, p_ordinal integer DEFAULT NULL, p_response jsonb DEFAULT NULL,
  p_effect_id text DEFAULT NULL, p_effect_address text DEFAULT NULL)
RETURNS TABLE (verdict text, released text[], joined text, fence uuid, prior text, tries integer,
               generation integer, external_id text, input jsonb, item jsonb, expired boolean,
               skips boolean, user_id uuid, type text, version integer,
               is_budgeted boolean)
LANGUAGE plpgsql
-- As in submit_workflow_v1: each statement is planned once.
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  c record;
  real timestamptz := clock_timestamp();
BEGIN
  SELECT status, paused_at, user_id, type, version, budget_id IS NOT NULL AS is_budgeted,
         CASE WHEN budget_id IS NULL THEN true
              ELSE p_cost = 0 AND exceeded_budget_v1(p_workflow, budget_id) IS NULL END AS is_within INTO w
    FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status = 'running' AND w.paused_at IS NULL AND w.is_within THEN
    UPDATE steps SET status = 'succeeded', output = p_output, input = coalesce(p_input, input),
           error = NULL, error_code = NULL, crashes = 0, lease_until = NULL, deadline_at = NULL,
           finished_at = real, cost = nullif(coalesce(cost, 0) + p_cost, 0)
     WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
       AND kind = 'step' AND join_key IS NULL AND next_keys = ARRAY[p_next]
    RETURNING cost, generation INTO s;
    IF FOUND THEN
      IF p_ordinal IS NOT NULL THEN
        UPDATE intents SET resolution = 'accepted', response = p_response,
               effect_id = p_effect_id, effect_address = p_effect_address, answer_id = NULL
         WHERE workflow_id = p_workflow AND step_key = p_key AND generation = s.generation
           AND ordinal = p_ordinal;
      END IF;
      IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
      PERFORM append_event_v1(p_workflow, 'StepSucceeded', p_key, jsonb_build_object(
        'output', payload_hash(p_output), 'cost', nullif(s.cost, 0)));
      UPDATE steps SET
          status = 'running', fence = gen_random_uuid(), claims = claims + 1,
          publish_after = real + make_interval(secs => p_republish),
          ready_at = coalesce(ready_at, playalter_now()),
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
                            w.version, w.is_budgeted;
      ELSE
        -- Another worker has claimed the successor, so the caller has nothing to publish.
        RETURN QUERY SELECT 'released', '{}'::text[], NULL, NULL::uuid, NULL, 0, 0, NULL,
                            NULL::jsonb, NULL::jsonb, false, false, NULL::uuid, NULL, 0,
                            false;
      END IF;
      RETURN;
    END IF;
  END IF;
  RETURN QUERY SELECT f.verdict, f.released, f.joined, NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb,
                      NULL::jsonb, false, false, NULL::uuid, NULL, 0, false
    FROM finish_step_v1(p_workflow, p_key, p_fence, p_input, p_output, p_cost, p_calls, 'succeeded',
                        NULL, NULL, NULL, NULL, false, p_republish, NULL, p_ordinal, p_response,
                        p_effect_id, p_effect_address) AS f;
END $$;
