-- Gives a signal to the approval that waits for it. The signal is the row p_delivery of
-- webhook_deliveries: it is marked as consumed and gets the external id p_external_id, which is the
-- step's own (`signal_id` of app/keys.py, with the step's key), so that no other step counts it.
-- The step may wait for a vendor's id meanwhile, which several steps may share. The step becomes
-- pending. The caller holds the workflow row FOR NO KEY UPDATE, and publishes the step.
CREATE OR REPLACE FUNCTION take_signal_v1(p_workflow uuid, p_key text, p_delivery uuid, p_external_id text,
                               p_republish double precision)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE webhook_deliveries SET external_id = p_external_id, consumed_at = clock_timestamp()
   WHERE id = p_delivery;
  UPDATE steps SET status = 'pending', wake_at = NULL,
         publish_after = clock_timestamp() + seconds(p_republish)
   WHERE workflow_id = p_workflow AND key = p_key;
  PERFORM append_event_v1(p_workflow, 'StepWoken', p_key,
                          jsonb_build_object('external_id', p_external_id));
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_republish));
END $$;
