-- Records that a step waits until the time p_until, or until a signal comes earlier. Such a wait is
-- not polled, so it has no jitter. Accepted only from the attempt whose fence (the id of its claim)
-- is current. The workflow row is locked first, FOR NO KEY UPDATE.
--
--   p_signal: the name of the signal for which an approval waits; null for a wait that only time
--     ends.
--   p_asked: the e-mail addresses of the users who may give the signal, and the groups whose members
--     may (group:<name>); null for the workflow's owner.
--   p_early: the external id under which a signal of this name is stored if it came before the
--     approval waited; one that was given to this step alone has the step's key behind it. Such a
--     signal is taken at once. A signal locks the same row first, so the
--     wait and the signal always see each other.
--   p_remind: when people are reminded of an approval, in order (see remind_approvals_v1). They are
--     the same each time that it waits again, and `reminded` says which are over.
--
-- If nobody has one of the addresses that are asked, the workflow is marked for attention.
--
-- verdicts:
--   fenced: nothing was recorded.
--   draining: it was recorded, and the workflow is stopping.
--   recorded: it was recorded, and the workflow is not stopping.
--   woken: a signal was taken, and the workflow is not paused; the caller publishes the step.
CREATE OR REPLACE FUNCTION wait_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_external_id text, p_until timestamptz, p_signal text, p_asked text[], p_early text,
  p_republish double precision, p_remind timestamptz[] DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
  s record;
  early uuid;
BEGIN
  SELECT status, paused_at, user_id INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET status = 'waiting', external_id = p_external_id, signal = p_signal,
         asked = p_asked, remind_at = p_remind, error = NULL, error_code = NULL, held_since = NULL, tries = 0,
         input = coalesce(p_input, input),
         cost = nullif(coalesce(cost, 0) + p_cost, 0), crashes = 0,
         wake_at = p_until, lease_until = NULL, deadline_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING old.external_id AS previous, coalesce(new.cost, 0) AS cost,
            old.tries > 0 OR old.error IS NOT NULL AS is_recovered,
            p_remind[coalesce(new.reminded, 0) + 1] AS remind_at INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF s.previous IS DISTINCT FROM p_external_id OR s.is_recovered THEN
    PERFORM append_event_v1(p_workflow, 'StepSuspended', p_key, jsonb_build_object(
      'external_id', p_external_id, 'until', (extract(epoch FROM p_until) * 1000000)::bigint,
      'cost', s.cost));
  END IF;
  IF w.status = 'compensating' THEN RETURN 'draining'; END IF;
  SELECT id INTO early FROM webhook_deliveries
   WHERE external_id IN (p_early, p_early || ':' || p_key) AND platform = 'control' AND consumed_at IS NULL
   ORDER BY id LIMIT 1;
  IF early IS NULL THEN
    IF unknown_approvers_v1(w.user_id, p_asked) <> '{}' THEN
      PERFORM call_person_v1(p_workflow, p_key, 'approver_unknown');
    END IF;
    PERFORM wake_by_v1(p_workflow, least(p_until, s.remind_at));
    RETURN 'recorded';
  END IF;
  PERFORM take_signal_v1(p_workflow, p_key, early, p_early || ':' || p_key, p_republish);
  RETURN CASE WHEN w.paused_at IS NULL THEN 'woken' ELSE 'recorded' END;
END $$;
