-- Takes a running step away from a worker whose lease has expired. The step becomes unknown if
-- p_unknown (one of its calls may have taken effect), else pending. Returns false if the step has
-- another fence (the id of a claim) or status by now, or if its lease was renewed. The caller,
-- reconcile_workflow_v1, holds the workflow row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION expire_lease_v1(p_workflow uuid, p_key text, p_fence uuid, p_unknown boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  total bigint;
BEGIN
  UPDATE steps SET status = CASE WHEN p_unknown THEN 'unknown' ELSE 'pending' END,
         crashes = crashes + 1, fence = NULL, lease_until = NULL, deadline_at = NULL,
         publish_after = clock_timestamp(), wake_at = playalter_now()
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
     AND lease_until < clock_timestamp()
  RETURNING cost INTO total;
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM append_event_v1(p_workflow, CASE WHEN p_unknown THEN 'StepOutcomeUnknown'
                                           ELSE 'StepLeaseExpired' END, p_key,
                          jsonb_build_object('code', 'lease_expired', 'cost', nullif(total, 0)));
  RETURN true;
END $$;
