-- Makes a step due now and resets its count of crashes. The caller publishes the step, unless the
-- workflow is paused; then the step is due when the workflow is resumed. The caller holds the
-- workflow row FOR NO KEY UPDATE.
-- verdicts: due | paused
CREATE OR REPLACE FUNCTION make_due_v1(p_workflow uuid, p_key text, p_republish double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  is_paused boolean;
BEGIN
  UPDATE steps SET wake_at = NULL, crashes = 0, finished_at = NULL,
         publish_after = clock_timestamp() + seconds(p_republish)
   WHERE workflow_id = p_workflow AND key = p_key;
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_republish));
  SELECT paused_at IS NOT NULL AND completed_at IS NULL INTO is_paused
    FROM workflows WHERE id = p_workflow;
  RETURN CASE WHEN is_paused THEN 'paused' ELSE 'due' END;
END $$;
