-- Runs a step that has failed, or that waits for its next try, now. Where it starts anew (its input
-- was corrected, or the vendor may keep its failure under the old key) its generation rises: never
-- while a call of it is open, and past an accepted call only with a reason, for that call is then
-- made a second time. p_input: the corrected input, null to keep it. p_artifacts: the files that it
-- mentions (see mention_artifacts_v1). p_person: actions whose open calls only a person can settle.
-- p_by says who asked and p_reason why; both stand in the event. Takes the workflow row FOR NO KEY
-- UPDATE, then the step's.
--
-- verdicts: due (the caller publishes it) | paused (it is due when the workflow goes on) | not_running
--           | no_step | open_intent | needs_reason | tolerated | not_waiting | undo | the step's status
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
  SELECT status, kind, role, is_tolerated, wake_at, external_id, generation INTO s FROM steps
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
    -- The approval is asked for anew. An answer that was given before stays on record and counts no
    -- more.
    UPDATE webhook_deliveries SET external_id = external_id || '#' || s.generation
     WHERE external_id = s.external_id;
  END IF;
  UPDATE steps SET status = 'pending', tries = 0, error = NULL, error_code = NULL, held_since = NULL,
         input = CASE WHEN s.role IN ('wait', 'approval') THEN NULL
                      ELSE coalesce(p_input, input) END,
         generation = generation + rises::integer,
         external_id = CASE WHEN rises THEN NULL ELSE external_id END, expires_at = NULL,
         started_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key;
  IF p_artifacts IS NOT NULL THEN
    PERFORM mention_artifacts_v1(p_workflow, w.user_id, p_artifacts);
  END IF;
  IF rises THEN
    -- What the step's earlier calls have made is no longer its own, should a webhook still tell of it.
    UPDATE webhook_deliveries SET fate = NULL
     WHERE effect_workflow_id = p_workflow AND effect_step_key = p_key AND fate = 'own';
  END IF;
  PERFORM append_event_v1(p_workflow, 'StepRetryRequested', p_key, jsonb_build_object(
    'by', p_by, 'reason', p_reason, 'input', payload_hash(p_input),
    'generation', CASE WHEN rises THEN s.generation + 1 END));
  due := make_due_v1(p_workflow, p_key, p_republish);
  PERFORM settle_attention_v1(p_workflow, p_person);
  RETURN due;
END $$;
