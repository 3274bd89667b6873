-- Whether a compensation of an orphan effect of this workflow has failed, so that a person is
-- called. The end of the workflow does not answer such a call.
CREATE OR REPLACE FUNCTION has_failed_orphan_v1(p_workflow uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM steps WHERE workflow_id = p_workflow
                    AND kind = 'orphan_undo' AND status = 'failed')
$$;
