-- The steps of a workflow that need a person, in the definition's order, each with the reason.
-- p_person: actions whose open calls (calls of unknown outcome) only a person can resolve; if null,
-- every unknown step is returned. Used by the functions that end or renew a workflow's need for
-- attention, and by the list of workflows that need it.
CREATE OR REPLACE FUNCTION needs_person_v1(p_workflow uuid, p_person text[])
RETURNS TABLE (step_key text, reason text) LANGUAGE sql AS $$
  SELECT s.key, CASE WHEN s.status = 'waiting' THEN 'approver_unknown'
                     WHEN s.kind <> 'step' AND s.status = 'failed' THEN 'compensation_failed'
                     WHEN s.status = 'failed' THEN 'step_failed'
                     WHEN s.status = 'unknown' THEN 'unknown_outcome'
                     WHEN is_crashing_v1(s.crashes) THEN 'crashing'
                     WHEN is_held_off_v1(s.held_since, s.error_code)
                       THEN held_reason_v1(s.error_code)
                     ELSE 'approver_unknown' END
    FROM workflows w JOIN steps s ON s.workflow_id = w.id
   WHERE w.id = p_workflow AND (w.completed_at IS NULL OR s.kind = 'orphan_undo')
     AND CASE s.status WHEN 'failed' THEN s.kind <> 'step'
                            OR w.status = 'running'
                            AND NOT s.is_tolerated
                       WHEN 'unknown' THEN p_person IS NULL OR s.action = ANY (p_person)
                       -- An approval that has asked has a signal. One that has been decided is
                       -- pending too, and needs no person.
                       WHEN 'pending' THEN is_crashing_v1(s.crashes)
                            OR is_held_off_v1(s.held_since, s.error_code)
                            OR w.status = 'running' AND s.asked IS NOT NULL AND s.signal IS NULL
                               AND NOT s.skip_requested
                               AND unknown_approvers_v1(w.user_id, s.asked) <> '{}'
                       -- The next attempt is running, and it is not known yet whether its reason
                       -- to be held has ended.
                       WHEN 'running' THEN is_held_off_v1(s.held_since, s.error_code)
                       WHEN 'waiting' THEN w.status = 'running' AND s.signal IS NOT NULL
                            AND unknown_approvers_v1(w.user_id, s.asked) <> '{}'
                       ELSE false END
   ORDER BY s.position, s.key
$$;
