-- Whether a fork of a workflow, or a fork of such a fork, has not ended. Its undoing may need what the
-- workflow has recorded.
CREATE OR REPLACE FUNCTION has_live_fork_v1(p_workflow uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  WITH RECURSIVE forks AS (
    SELECT id, completed_at FROM workflows WHERE forked_from = p_workflow
    UNION
    SELECT w.id, w.completed_at FROM forks JOIN workflows AS w ON w.forked_from = forks.id)
  SELECT EXISTS (SELECT FROM forks WHERE completed_at IS NULL)
$$;
