-- The times of the workflows that have not ended and use a prompt by a label: the earliest and the
-- latest of those whose labels decide what they use (see prompts_as_of_v1). Both are null if there is
-- no such workflow.
CREATE OR REPLACE FUNCTION prompt_times_v1(p_prompt uuid)
RETURNS TABLE (earliest timestamptz, latest timestamptz) LANGUAGE sql STABLE AS $$
  SELECT min(used.at), max(used.at)
    FROM prompts AS p JOIN definitions AS d ON d.prompts_of = p.project_id
    JOIN workflows AS w ON w.type = d.name AND w.version = d.version AND w.completed_at IS NULL
   CROSS JOIN LATERAL (
         -- prompts_as_of_v1 takes four times as long, and few workflows are forks.
         SELECT CASE WHEN w.forked_from IS NULL THEN w.started_at
                     ELSE prompts_as_of_v1(w.id) END AS at) AS used
   WHERE p.id = p_prompt
     AND d.prompts @> jsonb_build_array(jsonb_build_object('name', p.name))
$$;
