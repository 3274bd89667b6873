-- Records a person's statement about a compensation: with p_as `done` it counts as done, with
-- `retry` it runs again now. p_of_key: the key of the row that it undoes. p_by (who asked) and
-- p_reason are stored in the event. The caller, resolve_step_v1, holds the workflow row and the
-- step's row.
--
-- verdicts:
--   due: the caller publishes the compensation.
--   paused: the compensation is due when the workflow is resumed.
--   settle: the caller settles the stopping workflow.
--   wrong (p_as is neither done nor retry), or the compensation's status: nothing was done.
CREATE OR REPLACE FUNCTION resolve_undo_v1(
  p_workflow uuid, p_key text, p_of_key text, p_status text, p_as text, p_by text, p_reason text,
  p_person text[], p_republish double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  due text;
BEGIN
  IF p_as NOT IN ('done', 'retry') THEN RETURN 'wrong'; END IF;
  IF p_status NOT IN ('pending', 'failed') THEN RETURN p_status; END IF;
  UPDATE steps SET status = CASE p_as WHEN 'done' THEN 'succeeded' ELSE 'pending' END,
         error = NULL, error_code = NULL, held_since = NULL,
         tries = CASE p_as WHEN 'done' THEN tries ELSE 0 END
   WHERE workflow_id = p_workflow AND key = p_key;
  PERFORM append_event_v1(p_workflow, 'StepResolved', p_key, jsonb_build_object(
    'as', p_as, 'by', p_by, 'reason', p_reason,
    'status', CASE p_as WHEN 'done' THEN 'succeeded' ELSE 'pending' END));
  IF p_as = 'retry' THEN
    due := make_due_v1(p_workflow, p_key, p_republish);
    PERFORM settle_attention_v1(p_workflow, p_person);
    RETURN due;
  END IF;
  UPDATE steps SET finished_at = clock_timestamp(), wake_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key;
  UPDATE steps SET status = 'compensated'
   WHERE workflow_id = p_workflow AND key = p_of_key AND status <> 'failed';
  PERFORM append_event_v1(p_workflow, 'StepCompensated', p_of_key, NULL);
  PERFORM settle_attention_v1(p_workflow, p_person);
  PERFORM wake_by_v1(p_workflow, playalter_now());
  RETURN 'settle';
END $$;
