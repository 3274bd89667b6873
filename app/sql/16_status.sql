-- What guards a step's row, made cheaper: a step is updated twice, and its check and its trigger were a
-- third of each update.

-- A table's CHECK is read from the catalog and planned anew by every statement, a domain's once a
-- session. The rows that are there have passed the same check; the type without it is no other, so
-- that no row is written anew.
CREATE DOMAIN step_status AS text;
ALTER TABLE steps DROP CONSTRAINT steps_status, ALTER COLUMN status TYPE step_status;
ALTER DOMAIN step_status ADD CONSTRAINT step_status CHECK (VALUE IN (
  'pending', 'running', 'waiting', 'unknown', 'succeeded', 'failed', 'skipped', 'cancelled',
  'compensated')) NOT VALID;

-- A function that returns a step's status returns a text, as before. All are made anew: a session that
-- has planned one with the old type could not go on with it. A claim that is inside one while this
-- commits fails once, before anything was done; the reconciler publishes its step again.
DO $$
DECLARE
  made regprocedure;
BEGIN
  FOR made IN SELECT p.oid FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
               WHERE p.pronamespace = current_schema()::regnamespace AND l.lanname = 'plpgsql'
                 AND pg_has_role(p.proowner, 'USAGE') LOOP
    EXECUTE replace(pg_get_functiondef(made), 'old.status AS prior', 'old.status::text AS prior');
  END LOOP;
END $$;

-- As before; but an update that names the cost asks the trigger of the budget, and most steps have none.
CREATE OR REPLACE FUNCTION advance_step_v2(
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
           error = NULL, crashes = 0, lease_until = NULL, deadline_at = NULL, finished_at = real
     WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
       AND NOT undo AND join_key IS NULL AND next_keys = ARRAY[p_next]
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
         AND publish_after IS NULL AND wake_at IS NULL AND NOT undo
      RETURNING steps.fence, steps.tries, steps.generation, steps.external_id, steps.input,
                steps.item, steps.skip_requested INTO c;
      IF FOUND THEN
        RETURN QUERY SELECT 'advanced', NULL::text[], NULL, c.fence, 'pending', c.tries,
                            c.generation, c.external_id, c.input, c.item, false, c.skip_requested,
                            w.user_id, w.type,
                            w.version;
      ELSE
        -- Released and claimed by somebody else already: nothing of ours to move.
        RETURN QUERY SELECT 'released', '{}'::text[], NULL, NULL::uuid, NULL, 0, 0, NULL,
                            NULL::jsonb, NULL::jsonb, false, false, NULL::uuid, NULL, 0;
      END IF;
      RETURN;
    END IF;
  END IF;
  RETURN QUERY SELECT f.verdict, f.released, f.joined, NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb,
                      NULL::jsonb, false, false, NULL::uuid, NULL, 0
    FROM finish_step_v2(p_workflow, p_key, p_fence, p_input, p_output, p_cost, p_calls, 'succeeded',
                        NULL, NULL, NULL, false, p_republish) AS f;
END $$;
