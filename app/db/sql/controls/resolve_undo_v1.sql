-- Records a person's statement about a compensation that has not ended or has failed. p_of_key: the
-- key of the row that it undoes. p_by (who asked) and p_reason are stored in the event. The caller,
-- resolve_step_v1, holds the workflow row and the step's row.
--
-- p_as is one of:
--   done: the effect is undone, so the compensation counts as done.
--   never: its open calls (calls of unknown outcome) took no effect; it runs again as a new
--     generation, with new idempotency keys.
--   retry: it goes on now. If its outcome is unknown, its open calls are looked up; if it waits, it
--     asks the platform; else it runs again.
--
-- verdicts:
--   due: the caller publishes the compensation.
--   paused: the compensation is due when the workflow is resumed.
--   settle: the caller settles the stopping workflow.
--   wrong (p_as is `succeeded`), nothing_open (`never`, but no call is open), or the compensation's
--     status: nothing was done.
CREATE OR REPLACE FUNCTION resolve_undo_v1(
  p_workflow uuid, p_key text, p_of_key text, p_status text, p_as text, p_by text, p_reason text,
  p_person text[], p_republish double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  becomes text;
  risen integer;
  due text;
BEGIN
  IF p_as NOT IN ('done', 'never', 'retry') THEN RETURN 'wrong'; END IF;
  IF p_status NOT IN ('pending', 'waiting', 'unknown', 'failed') THEN RETURN p_status; END IF;
  IF p_as = 'never' THEN
    UPDATE intents SET resolution = 'never', response = NULL, effect_id = NULL,
           effect_address = NULL
     WHERE workflow_id = p_workflow AND step_key = p_key AND resolution IS NULL;
    IF NOT FOUND THEN RETURN 'nothing_open'; END IF;
  END IF;
  becomes := CASE WHEN p_as = 'done' THEN 'succeeded'
                  WHEN p_as = 'retry' AND p_status = 'unknown' THEN 'unknown'
                  ELSE 'pending' END;
  UPDATE steps SET status = becomes, error = NULL, error_code = NULL, held_since = NULL,
         tries = CASE p_as WHEN 'done' THEN tries ELSE 0 END,
         generation = generation + (p_as = 'never')::integer,
         expires_at = CASE p_as WHEN 'never' THEN NULL ELSE expires_at END,
         started_at = CASE p_as WHEN 'never' THEN NULL ELSE started_at END,
         external_id = CASE p_as WHEN 'never' THEN NULL ELSE external_id END
   WHERE workflow_id = p_workflow AND key = p_key RETURNING generation INTO risen;
  PERFORM append_event_v1(p_workflow, 'StepResolved', p_key, jsonb_build_object(
    'as', p_as, 'by', p_by, 'reason', p_reason, 'status', becomes,
    'generation', CASE p_as WHEN 'never' THEN risen END));
  IF p_as <> 'done' THEN
    due := make_due_v1(p_workflow, p_key, p_republish);
    PERFORM settle_attention_v1(p_workflow, p_person);
    RETURN due;
  END IF;
  UPDATE steps SET finished_at = clock_timestamp(), wake_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key;
  UPDATE steps SET status = 'compensated'
   WHERE workflow_id = p_workflow AND key = p_of_key AND status <> 'failed';
  UPDATE steps SET reserved = 0
   WHERE workflow_id = p_workflow AND key = p_of_key AND reserved > 0;
  PERFORM append_event_v1(p_workflow, 'StepCompensated', p_of_key, NULL);
  PERFORM settle_attention_v1(p_workflow, p_person);
  PERFORM wake_by_v1(p_workflow, playalter_now());
  RETURN 'settle';
END $$;
