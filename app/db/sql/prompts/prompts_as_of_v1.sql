-- The time whose labels decide which versions of prompts a workflow uses: when it started. A fork uses
-- those of the workflow that it forks, so for a fork it is when the first of these started. Any of
-- them may be archived; of one that was erased, the earlier ones do not count. Null if the workflow has
-- not started.
CREATE OR REPLACE FUNCTION prompts_as_of_v1(p_workflow uuid) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  WITH RECURSIVE known AS NOT MATERIALIZED (
    SELECT id, forked_from, started_at FROM workflows
    UNION ALL
    SELECT workflow_id, forked_from, started_at FROM archived),
  line AS (
    SELECT id, forked_from, started_at, 0 AS depth FROM known WHERE id = p_workflow
    UNION
    SELECT w.id, w.forked_from, w.started_at, line.depth + 1
      FROM line JOIN known AS w ON w.id = line.forked_from WHERE line.depth < 1000)
  SELECT started_at FROM line WHERE started_at IS NOT NULL ORDER BY depth DESC LIMIT 1
$$;
