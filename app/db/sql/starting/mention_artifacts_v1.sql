-- Stores which files of the user a workflow mentions. p_artifacts: the ids that the caller has
-- found in an input; null or empty for none, as for most starts. Ids that are not files of this
-- user are ignored. Called in the transaction that writes the input.
CREATE OR REPLACE FUNCTION mention_artifacts_v1(p_workflow uuid, p_user uuid, p_artifacts uuid[])
RETURNS void LANGUAGE sql AS $$
  INSERT INTO workflow_artifacts (artifact_id, workflow_id)
  SELECT id, p_workflow FROM artifacts WHERE id = ANY (p_artifacts) AND user_id = p_user
  ON CONFLICT DO NOTHING
$$;
