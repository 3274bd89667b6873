-- Records a person's statement about a step whose call no lookup can resolve, or that has failed
-- and waits for a person. p_by (who asked) and p_reason are stored in the event.
--
-- p_as is one of:
--   succeeded: the open calls of the step (calls of unknown outcome) count as made. If p_response
--     is given, it is the platform's response to the one open call: the action runs again and goes
--     on from it. p_effect_id and p_effect_address are what the action reads in that response. If
--     p_output is given, the step is recorded with this output and the action does not run.
--   never: the open calls took no effect; the step runs again as a new generation, with new
--     idempotency keys.
--   retry: the open calls are looked up again now.
--   done: only for a compensation. What each means for a compensation: see resolve_undo_v1.
-- While the workflow is stopping, no step runs again. The caller then settles the workflow, which
-- undoes what was made and cancels the rest. p_person: actions whose open calls only a person can
-- resolve. Locks the workflow row FOR NO KEY UPDATE, then the step's row.
--
-- verdicts:
--   due: the caller publishes the step.
--   paused: the step is due when the workflow is resumed.
--   settle: the caller settles the stopping workflow.
--   ended, no_step, tolerated (its failure was tolerated), undoing (it has failed, and the workflow
--     is being undone), wrong (p_as does not fit this step), or the step's status: nothing was
--     done.
--   not_one_open, nothing_open: the step does not have the open calls that p_response or `never`
--     needs; nothing was done.
CREATE OR REPLACE FUNCTION resolve_step_v1(
  p_workflow uuid, p_key text, p_as text, p_output jsonb, p_response jsonb, p_effect_id text,
  p_effect_address text, p_by text, p_reason text, p_person text[], p_republish double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
  s record;
  open integer;
  becomes text;
  due text;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  SELECT status, kind, of_key, is_tolerated, generation, coalesce(reserved, 0) AS reserved INTO s
    FROM steps
   WHERE workflow_id = p_workflow AND key = p_key FOR NO KEY UPDATE;
  IF w.status NOT IN ('running', 'compensating')
     AND coalesce(s.kind NOT IN ('orphan', 'orphan_undo'), true) THEN
    RETURN 'ended';
  END IF;
  IF s.kind IS NULL THEN RETURN 'no_step'; END IF;
  IF s.kind IN ('undo', 'orphan_undo') THEN
    RETURN resolve_undo_v1(p_workflow, p_key, s.of_key, s.status, p_as, p_by, p_reason, p_person,
                           p_republish);
  END IF;
  IF p_as = 'done' THEN RETURN 'wrong'; END IF;
  IF s.status NOT IN ('unknown', 'failed') THEN RETURN s.status; END IF;
  IF s.status = 'failed' AND w.status = 'compensating' THEN RETURN 'undoing'; END IF;
  IF s.status = 'failed' AND s.is_tolerated THEN
    RETURN 'tolerated';
  END IF;
  IF s.status = 'failed' AND p_as = 'retry' THEN RETURN 'wrong'; END IF;
  SELECT count(*) INTO open FROM intents
   WHERE workflow_id = p_workflow AND step_key = p_key AND resolution IS NULL;
  IF p_response IS NOT NULL AND open <> 1 THEN RETURN 'not_one_open'; END IF;
  IF p_as = 'never' AND open = 0 THEN RETURN 'nothing_open'; END IF;
  IF p_as <> 'retry' THEN
    UPDATE intents SET resolution = CASE p_as WHEN 'never' THEN 'never' ELSE 'accepted' END,
           response = CASE p_as WHEN 'never' THEN NULL ELSE p_response END,
           effect_id = p_effect_id, effect_address = p_effect_address
     WHERE workflow_id = p_workflow AND step_key = p_key AND resolution IS NULL;
  END IF;
  -- A stopping workflow runs only unknown steps. So a step whose call was made stays unknown there,
  -- and is looked up once more.
  becomes := CASE WHEN p_as = 'retry' OR p_as = 'succeeded' AND w.status = 'compensating'
                  THEN 'unknown' ELSE 'pending' END;
  UPDATE steps SET status = becomes, error = NULL, error_code = NULL, held_since = NULL,
         resolved_output = p_output,
         skip_requested = skip_requested OR p_output IS NOT NULL,
         tries = CASE p_as WHEN 'never' THEN 0 ELSE tries END,
         generation = generation + (p_as = 'never')::integer,
         expires_at = CASE p_as WHEN 'never' THEN NULL ELSE expires_at END,
         started_at = CASE p_as WHEN 'never' THEN NULL ELSE started_at END,
         external_id = CASE p_as WHEN 'retry' THEN external_id END
   WHERE workflow_id = p_workflow AND key = p_key;
  IF p_as = 'never' THEN PERFORM disown_effects_v1(p_workflow, p_key, s.reserved); END IF;
  PERFORM append_event_v1(p_workflow, 'StepResolved', p_key, jsonb_build_object(
    'as', p_as, 'by', p_by, 'reason', p_reason, 'status', becomes,
    'output', payload_hash(p_output), 'response', payload_hash(p_response),
    'generation', CASE p_as WHEN 'never' THEN s.generation + 1 END));
  due := make_due_v1(p_workflow, p_key, p_republish);
  PERFORM settle_attention_v1(p_workflow, p_person);
  RETURN CASE WHEN w.status = 'compensating' AND p_as = 'never' THEN 'settle' ELSE due END;
END $$;
