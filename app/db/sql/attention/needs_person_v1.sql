-- The steps of a workflow that cannot go on without a person, in the definition's order, each with
-- the reason. p_person: actions whose open calls only a person can settle; null takes every unknown
-- step. Called by functions that settle a call for a person, and by the list of workflows that need
-- attention.
CREATE OR REPLACE FUNCTION needs_person_v1(p_workflow uuid, p_person text[])
RETURNS TABLE (step_key text, reason text) LANGUAGE sql AS $$
  SELECT s.key, CASE WHEN s.kind <> 'step' AND s.status = 'failed' THEN 'compensation_failed'
                     WHEN s.status = 'failed' THEN 'step_failed'
                     WHEN s.status = 'unknown' THEN 'unknown_outcome'
                     WHEN s.crashes < 5 THEN 'store_unavailable'
                     ELSE 'crashing' END
    FROM workflows w JOIN steps s ON s.workflow_id = w.id
   WHERE w.id = p_workflow AND (w.completed_at IS NULL OR s.kind = 'orphan_undo')
     AND CASE s.status WHEN 'failed' THEN s.kind <> 'step'
                            OR w.status = 'running'
                            AND NOT s.is_tolerated
                       WHEN 'unknown' THEN p_person IS NULL OR s.action = ANY (p_person)
                       WHEN 'pending' THEN s.crashes >= 5 OR is_held_off_v1(s.held_since)
                       -- The next try is under way, and nothing is better yet.
                       WHEN 'running' THEN is_held_off_v1(s.held_since)
                       ELSE false END
   ORDER BY s.position, s.key
$$;
