-- Adds a workflow that has just ended to the dead letters (what has failed for good), unless its user
-- cancelled it. p_step: its step that failed, if one did; p_action, p_code: the action and the error
-- with which that began, which may be those of a step of a child. A fork that was made before and
-- runs or has succeeded counts as its replay: another replay would do the work twice. Does nothing
-- for a child, because its parent deals with the failure, nor if the workflow ends a second time. The
-- caller holds the workflow row.
CREATE OR REPLACE FUNCTION add_dead_letter_v1(
  p_workflow uuid, p_step text, p_action text, p_code text)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO dead_letters (workflow_id, organisation_id, project_id, user_id, type, cause, step_key,
                            action, platform, error_code, ended_at, settled_at, settled_as, replay_id)
  SELECT w.id, w.organisation_id, w.project_id, w.user_id, w.type, w.cause, p_step, p_action,
         queue_of_v1(p_action), p_code, w.completed_at,
         CASE WHEN f.id IS NOT NULL THEN w.completed_at END,
         CASE WHEN f.id IS NOT NULL THEN 'replayed' END, f.id
    FROM workflows w
    LEFT JOIN LATERAL (
         SELECT id FROM workflows WHERE forked_from = w.id
            AND (completed_at IS NULL OR status = 'succeeded') ORDER BY id LIMIT 1) AS f ON true
   WHERE w.id = p_workflow AND w.parent_id IS NULL AND w.cause <> 'cancelled'
  ON CONFLICT (workflow_id) DO NOTHING
$$;
