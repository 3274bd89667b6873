-- Notes which of the user's files a workflow mentions. p_artifacts: the ids that the caller has found in
-- an input; those that are no file of the user's are passed over. Null or empty for none, as for most
-- starts. Called in the transaction that writes the input.
CREATE OR REPLACE FUNCTION mention_artifacts_v1(p_workflow uuid, p_user uuid, p_artifacts uuid[])
RETURNS void LANGUAGE sql AS $$
  INSERT INTO workflow_artifacts (artifact_id, workflow_id)
  SELECT id, p_workflow FROM artifacts WHERE id = ANY (p_artifacts) AND user_id = p_user
  ON CONFLICT DO NOTHING
$$;
