-- Stops a workflow: from this commit on its status is compensating. After the commit the caller
-- runs the barrier (a lock FOR UPDATE on the workflow row), which waits for claims in flight, and
-- only then reads the steps. Locks the workflow row FOR NO KEY UPDATE.
--
-- p_cause: failed | timed_out | cancelled | over_budget. p_undoes: false if the steps that
-- have succeeded are kept; the workflow still ends in the status of its cause.
--
-- p_pivot: the key of the pivot, the step after which nothing is undone. A cancel is refused if the
-- pivot's call was sent, because it may have taken effect. A time-out or an exhausted budget is
-- refused only if the pivot has succeeded; the workflow is then marked for attention (a person must
-- look), and that limit no longer applies. If the exceeded budget is that of a workflow above, it no
-- longer limits this workflow and its children, but still limits the others. A cancel also ends a
-- pause, even if the workflow is already stopping; so does every stop of a pending workflow, which
-- has nothing to undo.
--
-- verdicts:
--   stopped
--   stopping: it was already stopping.
--   ended: it had already ended.
--   begun: it was to be stopped because it had not started (p_code not_started), but it has.
--   past_pivot: the stop was refused.
--   within_budget: nothing was done, because the budget has been raised since it was exceeded.
CREATE OR REPLACE FUNCTION stop_workflow_v1(
  p_workflow uuid, p_cause text, p_error jsonb, p_code text, p_pivot text, p_undoes boolean)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
  exceeded uuid;
BEGIN
  SELECT status, budget_id, flow IS NOT NULL AS has_flow INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status = 'compensating' THEN
    IF p_cause = 'cancelled' THEN PERFORM resume_workflow_v1(p_workflow, NULL, 'cancelled'); END IF;
    RETURN 'stopping';
  END IF;
  IF w.status NOT IN ('pending', 'running') THEN RETURN 'ended'; END IF;
  IF p_code = 'not_started' AND w.status <> 'pending' THEN RETURN 'begun'; END IF;
  IF p_cause = 'over_budget' THEN
    exceeded := exceeded_budget_v1(p_workflow, w.budget_id);
    IF exceeded IS NULL THEN RETURN 'within_budget'; END IF;
  END IF;
  IF w.status <> 'pending' AND is_past_pivot_v1(p_workflow, p_pivot, p_cause = 'cancelled') THEN
    IF p_cause <> 'cancelled' THEN
      PERFORM call_person_v1(p_workflow, NULL, p_cause);
      UPDATE workflows SET expires_at = CASE p_cause WHEN 'timed_out' THEN NULL ELSE expires_at END,
             outlives_budget = outlives_budget OR coalesce(exceeded <> p_workflow, false)
       WHERE id = p_workflow;
      UPDATE budgets SET applies = false, is_exceeded = false
       WHERE workflow_id = p_workflow AND exceeded = p_workflow;
    END IF;
    RETURN 'past_pivot';
  END IF;
  IF w.has_flow AND w.status = 'pending' THEN PERFORM leave_flow_v1(p_workflow); END IF;
  UPDATE workflows SET status = 'compensating', cause = p_cause, error = p_error,
         undoes = p_undoes,
         paused_at = CASE WHEN p_cause = 'cancelled' OR w.status = 'pending' THEN NULL ELSE paused_at END,
         next_wake_at = least(next_wake_at, playalter_now())
   WHERE id = p_workflow;
  PERFORM append_event_v1(p_workflow, 'WorkflowStopping', NULL, jsonb_build_object(
    'cause', p_cause, 'code', p_code, 'undoes', nullif(p_undoes, true)));
  RETURN 'stopped';
END $$;
