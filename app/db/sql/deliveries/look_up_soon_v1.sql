-- Makes an unknown step due at once for which the effect of a stored webhook was made: the lookup of
-- its open call may find that effect now. The caller publishes what is returned: the workflow and
-- the key of the step, unless its workflow is paused. Locks the workflow row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION look_up_soon_v1(
  p_platform text, p_delivery_id text, p_republish double precision)
RETURNS TABLE (workflow_id uuid, key text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  d record;
  is_paused boolean;
BEGIN
  SELECT effect_workflow_id, effect_step_key INTO d FROM webhook_deliveries
   WHERE platform = p_platform AND delivery_id = p_delivery_id
     AND effect_workflow_id IS NOT NULL AND fate IS NULL;
  IF NOT FOUND OR NOT EXISTS (
       SELECT FROM steps WHERE workflow_id = d.effect_workflow_id AND key = d.effect_step_key
          AND status = 'unknown') THEN
    RETURN;
  END IF;
  SELECT paused_at IS NOT NULL INTO is_paused FROM workflows
   WHERE id = d.effect_workflow_id AND completed_at IS NULL FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN; END IF;
  UPDATE steps SET wake_at = NULL, publish_after = clock_timestamp() + seconds(p_republish)
   WHERE workflow_id = d.effect_workflow_id AND key = d.effect_step_key AND status = 'unknown'
     AND wake_at > playalter_now();
  IF NOT FOUND THEN RETURN; END IF;
  PERFORM wake_by_v1(d.effect_workflow_id, playalter_now() + seconds(p_republish));
  RETURN QUERY SELECT d.effect_workflow_id, d.effect_step_key WHERE NOT is_paused;
END $$;
