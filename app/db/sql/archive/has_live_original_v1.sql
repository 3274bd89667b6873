-- Whether a workflow from which a fork comes, or a parent of such a workflow, has not ended. Its undoing
-- and its end ask what became of its forks: what a fork uses is not undone. p_source: the workflow of
-- which the fork was made.
CREATE OR REPLACE FUNCTION has_live_original_v1(p_source uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  WITH RECURSIVE originals AS (
    SELECT id, parent_id, forked_from, completed_at FROM workflows WHERE id = p_source
    UNION
    SELECT w.id, w.parent_id, w.forked_from, w.completed_at
      FROM originals AS o JOIN workflows AS w ON w.id IN (o.parent_id, o.forked_from))
  SELECT EXISTS (SELECT FROM originals WHERE completed_at IS NULL)
$$;
