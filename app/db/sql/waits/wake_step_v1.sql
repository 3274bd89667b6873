-- Makes a waiting step pending if an unconsumed delivery (a stored webhook) of its platform for
-- p_external_id exists. p_platform: the platform of the step's action. Two platforms may use the
-- same id, so a delivery of another platform neither wakes the step nor is consumed. The webhook
-- and the wait may come in either order. Each side commits its own row first (the delivery, or the
-- step with its external id) and then calls this function, which looks for the other row. So no
-- wake-up is lost. Locks the workflow row FOR NO KEY UPDATE.
--
-- Returns true if the caller must publish the step. Returns false if nothing was woken, or if the
-- workflow is paused or stopping.
CREATE OR REPLACE FUNCTION wake_step_v1(p_workflow uuid, p_key text, p_platform text,
                             p_external_id text, p_republish double precision)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  w record;
  s record;
BEGIN
  SELECT status, paused_at INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF NOT EXISTS (SELECT FROM webhook_deliveries
                  WHERE external_id = p_external_id AND platform = p_platform
                    AND consumed_at IS NULL) THEN
    RETURN false;
  END IF;
  UPDATE steps SET status = 'pending', wake_at = NULL,
         publish_after = clock_timestamp() + seconds(p_republish)
   WHERE workflow_id = p_workflow AND key = p_key AND status = 'waiting'
     AND external_id = p_external_id
  RETURNING kind INTO s;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE webhook_deliveries SET consumed_at = clock_timestamp()
   WHERE external_id = p_external_id AND platform = p_platform AND consumed_at IS NULL;
  PERFORM append_event_v1(p_workflow, 'StepWoken', p_key,
                          jsonb_build_object('external_id', p_external_id));
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_republish));
  RETURN (w.status = 'running' OR s.kind <> 'step') AND w.paused_at IS NULL;
END $$;
