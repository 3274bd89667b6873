-- Runs a step now that has failed or waits for its next attempt. The step may start anew, as a new
-- generation with new idempotency keys: if a person corrected its input, or if the platform may
-- keep its failure under the old key. It never starts anew while one of its calls is open (of
-- unknown outcome). If one of its calls was accepted, starting anew makes that call a second time,
-- so this needs a reason.
--
-- p_input: the corrected input; null keeps the old one. p_artifacts: the files that it mentions
-- (see mention_artifacts_v1). p_person: actions whose open calls only a person can resolve. p_by
-- (who asked) and p_reason are stored in the event. Locks the workflow row FOR NO KEY UPDATE, then
-- the step's row, and the row of its known result last.
--
-- verdicts:
--   due: the caller publishes the step.
--   paused: the step is due when the workflow is resumed.
--   not_running, no_step, undo (it is a compensation), tolerated (its failure was tolerated),
--     not_waiting (it is due already), open_intent (a corrected input, but a call is open),
--     needs_reason, or the step's status: nothing was done.
CREATE OR REPLACE FUNCTION retry_step_by_hand_v1(
  p_workflow uuid, p_key text, p_input jsonb, p_by text, p_reason text, p_person text[],
  p_republish double precision, p_artifacts uuid[])
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
  s record;
  calls record;
  rises boolean;
  due text;
BEGIN
  SELECT status, user_id INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status <> 'running' THEN RETURN 'not_running'; END IF;
  SELECT status, kind, role, is_tolerated, wake_at, external_id, generation,
         coalesce(reserved, 0) AS reserved INTO s
    FROM steps
   WHERE workflow_id = p_workflow AND key = p_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN 'no_step'; END IF;
  IF s.kind IN ('undo', 'orphan_undo') THEN RETURN 'undo'; END IF;
  IF s.status NOT IN ('failed', 'pending') THEN RETURN s.status; END IF;
  IF s.status = 'pending' AND coalesce(s.wake_at <= playalter_now(), true) THEN
    RETURN 'not_waiting';
  END IF;
  IF s.status = 'failed' AND s.is_tolerated THEN
    RETURN 'tolerated';
  END IF;
  SELECT count(*) AS number, count(*) FILTER (WHERE resolution IS NULL) AS open,
         count(*) FILTER (WHERE resolution = 'accepted') AS accepted INTO calls
    FROM intents WHERE workflow_id = p_workflow AND step_key = p_key;
  IF p_input IS NOT NULL AND calls.open > 0 THEN RETURN 'open_intent'; END IF;
  rises := calls.open = 0 AND (s.status = 'failed' OR p_input IS NOT NULL)
           AND (calls.number > 0 OR s.external_id IS NOT NULL);
  IF rises AND calls.accepted > 0 AND p_reason IS NULL THEN RETURN 'needs_reason'; END IF;
  IF s.role = 'approval' AND s.status = 'failed' THEN
    -- The approval is asked for again. An earlier answer stays stored, but no longer applies.
    UPDATE webhook_deliveries SET external_id = external_id || '#' || s.generation
     WHERE external_id = s.external_id AND platform = 'control';
  END IF;
  UPDATE steps SET status = 'pending', tries = 0, error = NULL, error_code = NULL, held_since = NULL,
         input = CASE WHEN s.role IN ('wait', 'approval') THEN NULL
                      ELSE coalesce(p_input, input) END,
         generation = generation + rises::integer,
         external_id = CASE WHEN rises THEN NULL ELSE external_id END, expires_at = NULL,
         reminded = NULL,
         started_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key;
  IF p_artifacts IS NOT NULL THEN
    PERFORM mention_artifacts_v1(p_workflow, w.user_id, p_artifacts);
  END IF;
  IF rises THEN PERFORM disown_effects_v1(p_workflow, p_key, s.reserved); END IF;
  PERFORM append_event_v1(p_workflow, 'StepRetryRequested', p_key, jsonb_build_object(
    'by', p_by, 'reason', p_reason, 'input', payload_hash(p_input),
    'generation', CASE WHEN rises THEN s.generation + 1 END));
  due := make_due_v1(p_workflow, p_key, p_republish);
  PERFORM settle_attention_v1(p_workflow, p_person);
  IF p_input IS NOT NULL THEN
    -- The step no longer makes the result of the request that its old input was.
    DELETE FROM known_results WHERE workflow_id = p_workflow AND step_key = p_key;
  END IF;
  RETURN due;
END $$;
