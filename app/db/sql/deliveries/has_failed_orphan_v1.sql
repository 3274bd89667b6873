-- Whether the compensation of an orphan (an effect that its step does not own) of this workflow has
-- failed. Then a person is needed, and the end of the workflow does not end that need.
CREATE OR REPLACE FUNCTION has_failed_orphan_v1(p_workflow uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM steps WHERE workflow_id = p_workflow
                    AND kind = 'orphan_undo' AND status = 'failed')
$$;
