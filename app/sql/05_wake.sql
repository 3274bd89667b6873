-- Each side commits its own fact (the delivery; the external id) and then, in a new transaction,
-- looks for the other's. Both present: the step is pending again, published by the caller.
CREATE FUNCTION wake_step_v1(p_workflow uuid, p_key text, p_external_id text,
                             p_republish double precision)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  w record;
BEGIN
  SELECT status, paused_at INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF NOT EXISTS (SELECT FROM webhook_deliveries
                  WHERE external_id = p_external_id AND consumed_at IS NULL) THEN
    RETURN false;
  END IF;
  UPDATE steps SET status = 'pending', wake_at = NULL,
         publish_after = clock_timestamp() + seconds(p_republish)
   WHERE workflow_id = p_workflow AND key = p_key AND status = 'waiting'
     AND external_id = p_external_id;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE webhook_deliveries SET consumed_at = clock_timestamp()
   WHERE external_id = p_external_id AND consumed_at IS NULL;
  PERFORM append_event_v1(p_workflow, 'StepWoken', p_key,
                          jsonb_build_object('external_id', p_external_id));
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_republish));
  RETURN w.status = 'running' AND w.paused_at IS NULL;
END $$;

-- Only the reconciler expires a lease: an open intent makes it unknown, else it may run again.
-- The caller holds the workflow row.
CREATE FUNCTION expire_lease_v1(p_workflow uuid, p_key text, p_fence uuid, p_unknown boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  UPDATE steps SET status = CASE WHEN p_unknown THEN 'unknown' ELSE 'pending' END,
         crashes = crashes + 1, fence = NULL, lease_until = NULL, deadline_at = NULL,
         publish_after = clock_timestamp(), wake_at = playalter_now()
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
     AND lease_until < clock_timestamp();
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM append_event_v1(p_workflow, CASE WHEN p_unknown THEN 'StepOutcomeUnknown'
                                           ELSE 'StepLeaseExpired' END, p_key,
                          jsonb_build_object('code', 'lease_expired'));
  RETURN true;
END $$;
