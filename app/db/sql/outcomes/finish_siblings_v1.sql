-- Records the success of several steps in one transaction, with an event for each. They are parts
-- of one join, cost nothing, and release nothing but the join. The fence (the id of the claim) of
-- each is checked. The workflow row is locked first, FOR NO KEY UPDATE. p_done: [{key, fence,
-- input, output}].
--
-- If p_lease and p_attempt are given (seconds, as in claim_step_v1) and this ends the last part, the
-- join is claimed too, if it is in its plain first state and no budget applies. Its claim is then
-- returned, and `released` is empty.
--
-- verdicts:
--   fenced: nothing was recorded.
--   released: `recorded` are the keys whose fences were current; `released` and `joined` are as in
--     finish_step_v1.
--   singly: the workflow is stopping or paused. Nothing was recorded, and the caller records each
--     step by finish_step_v1.
CREATE OR REPLACE FUNCTION finish_siblings_v1(
  p_workflow uuid, p_done jsonb, p_republish double precision,
  p_lease double precision DEFAULT NULL, p_attempt double precision DEFAULT NULL)
RETURNS TABLE (verdict text, released text[], joined text, recorded text[], fence uuid, prior text,
               tries integer, generation integer, external_id text, input jsonb, item jsonb,
               expired boolean, skips boolean, user_id uuid, type text, version integer,
               is_budgeted boolean)
LANGUAGE plpgsql
-- As in submit_workflow_v1: each statement is planned once.
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  w record;
  c record;
  joining text;
  keys text[];
  lines jsonb[];
  ready text[];
  is_joined boolean;
BEGIN
  SELECT status, paused_at, user_id, type, version, budget_id INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status <> 'running' OR w.paused_at IS NOT NULL THEN
    verdict := 'singly';
    RETURN NEXT;
    RETURN;
  END IF;
  SELECT join_key INTO joining FROM steps
   WHERE workflow_id = p_workflow AND key = p_done #>> '{0,key}';
  WITH given AS (
    SELECT * FROM ROWS FROM (
      jsonb_to_recordset(p_done) AS (key text, fence uuid, input jsonb, output jsonb))
      WITH ORDINALITY AS d (key, fence, input, output, n)),
  done AS (
    UPDATE steps AS s SET status = 'succeeded', output = given.output,
           input = coalesce(given.input, s.input), error = NULL, error_code = NULL, crashes = 0,
           lease_until = NULL, deadline_at = NULL, finished_at = clock_timestamp()
      FROM given
     WHERE s.workflow_id = p_workflow AND s.key = given.key AND s.fence = given.fence
       AND s.status = 'running' AND s.kind = 'step' AND s.join_key = joining AND s.next_keys IS NULL
    RETURNING s.key, s.output, s.cost, s.tries, given.n)
  SELECT array_agg(key ORDER BY n), array_agg(jsonb_build_object(
           'type', 'StepSucceeded', 'step', key, 'data', jsonb_build_object(
             'output', payload_hash(output), 'cost', nullif(cost, 0), 'tries', nullif(tries, 0)))
           ORDER BY n)
    INTO keys, lines FROM done;
  IF keys IS NULL THEN
    verdict := 'fenced';
    RETURN NEXT;
    RETURN;
  END IF;
  PERFORM append_events_v1(p_workflow, lines);
  SELECT f.ready, f.is_joined INTO ready, is_joined
    FROM settle_parts_v1(p_workflow, joining, cardinality(keys)) AS f;
  IF is_joined AND p_lease IS NOT NULL AND w.budget_id IS NULL THEN
    UPDATE steps SET
        status = 'running', fence = gen_random_uuid(), claims = claims + 1,
        publish_after = clock_timestamp() + seconds(p_republish),
        ready_at = coalesce(ready_at, playalter_now()),
        lease_until = clock_timestamp() + seconds(least(p_lease, p_attempt)),
        deadline_at = clock_timestamp() + seconds(p_attempt),
        started_at = coalesce(started_at, clock_timestamp())
     WHERE workflow_id = p_workflow AND key = joining AND status = 'pending' AND kind = 'step'
       AND publish_after IS NULL AND wake_at IS NULL AND external_id IS NULL AND expires_at IS NULL
       AND NOT skip_requested
    RETURNING steps.fence, steps.tries, steps.generation, steps.input, steps.item INTO c;
    IF FOUND THEN
      PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_republish));
      RETURN QUERY SELECT 'released', '{}'::text[], joining, keys, c.fence, 'pending', c.tries,
                          c.generation, NULL::text, c.input, c.item, false, false, w.user_id, w.type,
                          w.version, false;
      RETURN;
    END IF;
  END IF;
  IF cardinality(ready) > 0 THEN
    UPDATE steps SET publish_after = clock_timestamp() + seconds(p_republish),
           ready_at = coalesce(ready_at, playalter_now())
     WHERE workflow_id = p_workflow AND key = ANY (ready) AND status = 'pending';
  END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_republish));
  verdict := 'released';
  released := ready;
  joined := CASE WHEN is_joined THEN joining END;
  recorded := keys;
  RETURN NEXT;
END $$;
