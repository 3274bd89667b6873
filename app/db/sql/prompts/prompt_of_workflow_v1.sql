-- The version of a prompt that a workflow uses, by a label (p_label) or by its number (p_version).
-- A definition names prompts of the project of its author. The answer is the same at each call, in
-- every step, retry and fork of the workflow: what a label pointed to at a time does not change.
--
-- Always one row. is_known: the project has such a prompt. version: null if the label pointed to no
-- version then. body, checksum: null if the version does not exist, because it was deleted.
CREATE OR REPLACE FUNCTION prompt_of_workflow_v1(
  p_workflow uuid, p_name text, p_label text, p_version integer)
RETURNS TABLE (is_known boolean, version integer, checksum text, body jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  prompt uuid;
  chosen integer := p_version;
BEGIN
  SELECT p.id INTO prompt
    FROM workflows AS w JOIN definitions AS d ON d.name = w.type AND d.version = w.version
    JOIN prompts AS p ON p.project_id = d.prompts_of AND p.name = p_name AND p.deleted_at IS NULL
   WHERE w.id = p_workflow;
  IF NOT FOUND THEN
    RETURN QUERY SELECT false, NULL::integer, NULL, NULL::jsonb;
    RETURN;
  END IF;
  IF p_label IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock_shared(prompt_lock_v1(prompt));
    chosen := prompt_version_at_v1(prompt, p_label, prompts_as_of_v1(p_workflow));
  END IF;
  RETURN QUERY
    SELECT true, chosen, v.checksum, v.body
      FROM (SELECT) AS always
      LEFT JOIN prompt_versions AS v ON v.prompt_id = prompt AND v.version = chosen;
END $$;
