-- Finds the result of an equal request that the same user has paid for, or lets the step make the
-- result. Called before a step calls its platform, and only for actions whose results may be reused.
-- Accepted only from the attempt whose fence (the id of its claim) is current. The workflow row is
-- locked first, FOR NO KEY UPDATE, and the row of the result last.
--
--   p_hash: the SHA-256 of the request. p_age: how old the result may be, in seconds.
--   p_making: how long a step may keep others waiting for its result, in seconds. Whoever has waited
--     twice as long makes its own.
--   p_not: the workflow whose result cannot be used, because its file is gone; else null.
--   p_is_again: the step runs in a later turn of its loop, so it makes its own.
--   p_waits: the error that says that the step waits, and p_code its code.
--
-- Only a result is reused whose step has succeeded, by the platform's answer and not by a person's
-- word, in a workflow that is not undone. A step makes its own in a later turn of a loop, if it was
-- started anew by new keys, or if its workflow, or one above it, is a fork: the new result is the one
-- that is reused from then on. A step that has made a call by its present keys goes on with that call.
--
-- verdicts:
--   fenced: nothing was recorded.
--   make: the step makes the result. Equal requests wait for it.
--   alone: the step makes the result, but others do not know of it.
--   hit: `output` is the result, of the step from_key of the workflow from_workflow. `saved` is what
--     that step has cost, in micro-USD. finish_step_v1 records that the step has taken it.
--   recorded: the step waits for another that makes the result; it is pending again.
CREATE OR REPLACE FUNCTION claim_result_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_hash bytea, p_age double precision,
  p_making double precision, p_not uuid, p_waits jsonb, p_code text,
  p_is_again boolean DEFAULT false)
RETURNS TABLE (verdict text, output jsonb, from_workflow uuid, from_key text, saved bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  k record;
  made record;
  is_anew boolean;
BEGIN
  -- The commit is not flushed. If the server crashes and loses it, a request may be paid twice, or
  -- the lease of the claim expires.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT user_id, status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  SELECT steps.generation,
         CASE WHEN error_code = p_code THEN held_since END AS waits_since INTO s
    FROM steps
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running';
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'fenced', NULL::jsonb, NULL::uuid, NULL, NULL::bigint;
    RETURN;
  END IF;
  IF w.status <> 'running'
     OR EXISTS (SELECT FROM intents WHERE workflow_id = p_workflow AND step_key = p_key
                   AND generation = s.generation) THEN
    RETURN QUERY SELECT 'alone', NULL::jsonb, NULL::uuid, NULL, NULL::bigint;
    RETURN;
  END IF;
  is_anew := p_is_again OR s.generation > 0 OR EXISTS (
    WITH RECURSIVE above AS (
      SELECT parent_id, forked_from FROM workflows WHERE id = p_workflow
      UNION ALL
      SELECT p.parent_id, p.forked_from FROM workflows AS p JOIN above ON p.id = above.parent_id)
    SELECT FROM above WHERE forked_from IS NOT NULL);
  -- With another input the step makes another result than before.
  DELETE FROM known_results
   WHERE workflow_id = p_workflow AND step_key = p_key
     AND (user_id, request_hash) <> (w.user_id, p_hash);
  INSERT INTO known_results (user_id, request_hash, workflow_id, step_key, generation)
  VALUES (w.user_id, p_hash, p_workflow, p_key, s.generation) ON CONFLICT DO NOTHING;
  IF FOUND THEN
    RETURN QUERY SELECT 'make', NULL::jsonb, NULL::uuid, NULL, NULL::bigint;
    RETURN;
  END IF;
  SELECT known_results.* INTO k FROM known_results
   WHERE user_id = w.user_id AND request_hash = p_hash FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'alone', NULL::jsonb, NULL::uuid, NULL, NULL::bigint;
    RETURN;
  END IF;
  IF NOT is_anew AND (k.workflow_id, k.step_key) <> (p_workflow, p_key)
     AND k.workflow_id IS DISTINCT FROM p_not THEN
    SELECT steps.status, steps.output, coalesce(steps.cost, 0) AS cost,
           steps.finished_at > clock_timestamp() - seconds(p_age) AS is_fresh,
           steps.resolved_output IS NOT NULL AS is_stated,
           steps.generation = k.generation AS is_same, workflows.status AS of_workflow,
           workflows.paused_at IS NOT NULL AS is_paused INTO made
      FROM steps JOIN workflows ON workflows.id = steps.workflow_id
     WHERE steps.workflow_id = k.workflow_id AND steps.key = k.step_key;
    IF made.status = 'succeeded' AND made.is_fresh AND made.is_same AND NOT made.is_stated
       AND made.output IS NOT NULL AND made.of_workflow NOT IN ('compensating', 'compensated') THEN
      RETURN QUERY SELECT 'hit', made.output, k.workflow_id, k.step_key, made.cost;
      RETURN;
    END IF;
    IF made.status IN ('pending', 'running', 'waiting', 'unknown') AND NOT made.is_paused
       AND made.of_workflow = 'running' AND made.is_same
       AND k.claimed_at > clock_timestamp() - seconds(p_making) THEN
      IF s.waits_since <= clock_timestamp() - seconds(2 * p_making) THEN
        RETURN QUERY SELECT 'alone', NULL::jsonb, NULL::uuid, NULL, NULL::bigint;
        RETURN;
      END IF;
      PERFORM put_off_step_v1(p_workflow, p_key, p_waits, p_code);
      RETURN QUERY SELECT 'recorded', NULL::jsonb, NULL::uuid, NULL, NULL::bigint;
      RETURN;
    END IF;
  END IF;
  UPDATE known_results SET workflow_id = p_workflow, step_key = p_key, generation = s.generation,
         claimed_at = CASE WHEN (workflow_id, step_key) = (p_workflow, p_key) THEN claimed_at
                           ELSE clock_timestamp() END
   WHERE user_id = w.user_id AND request_hash = p_hash;
  RETURN QUERY SELECT 'make', NULL::jsonb, NULL::uuid, NULL, NULL::bigint;
END $$;
