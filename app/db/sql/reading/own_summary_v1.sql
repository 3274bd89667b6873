-- The summary of a user's own workflow (see workflow_summary_v1), live or archived. No row is returned if the
-- user has no such workflow.
CREATE OR REPLACE FUNCTION own_summary_v1(p_workflow uuid, p_user uuid)
RETURNS TABLE (shown json) LANGUAGE plpgsql STABLE
-- As in submit_workflow_v1: each statement is planned once.
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  RETURN QUERY SELECT s.shown FROM workflows AS w CROSS JOIN LATERAL workflow_summary_v1(w.id, false) AS s
                WHERE w.id = p_workflow AND w.user_id = p_user;
  IF NOT FOUND THEN
    RETURN QUERY SELECT s.shown FROM archived AS a
      CROSS JOIN LATERAL archived_summary_v1(a.workflow_id, false) AS s
      WHERE a.workflow_id = p_workflow AND a.user_id = p_user AND a.state <> 'restored';
  END IF;
END $$;
