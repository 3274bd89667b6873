-- A workflow that has not ended and uses a version of a prompt, or may still use it; null if there is
-- none. p_version: null for any version. The caller holds the lock of the prompt alone, so that no
-- label moves meanwhile. A workflow that has not started uses of its labels the versions of the day
-- when it starts, which no one can delete.
CREATE OR REPLACE FUNCTION prompt_in_use_v1(p_prompt uuid, p_version integer) RETURNS uuid
LANGUAGE sql STABLE AS $$
  SELECT w.id
    FROM prompts AS p JOIN definitions AS d ON d.prompts_of = p.project_id
    JOIN workflows AS w ON w.type = d.name AND w.version = d.version AND w.completed_at IS NULL
   WHERE p.id = p_prompt AND EXISTS (
         SELECT FROM jsonb_to_recordset(d.prompts) AS r (name text, label text, version integer)
          WHERE r.name = p.name AND (p_version IS NULL OR p_version = CASE
                WHEN r.label IS NULL THEN r.version
                -- prompts_as_of_v1 takes four times as long, and few workflows are forks.
                ELSE prompt_version_at_v1(p_prompt, r.label, CASE WHEN w.forked_from IS NULL
                     THEN w.started_at ELSE prompts_as_of_v1(w.id) END) END))
   LIMIT 1
$$;
