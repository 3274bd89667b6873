-- Takes a running step from a worker that has let its lease end: unknown where p_unknown says that
-- a call of it may have happened, else pending. False where the step is no longer held under this
-- fence, or was renewed. The caller holds the workflow row FOR NO KEY UPDATE. Called by
-- reconcile_workflow_v1 alone.
CREATE OR REPLACE FUNCTION expire_lease_v1(p_workflow uuid, p_key text, p_fence uuid, p_unknown boolean)
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
