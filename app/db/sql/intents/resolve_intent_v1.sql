-- Records the outcome of a call: `accepted` with the platform's response, `refused` by the
-- platform, or `never` (proven to have had no effect). p_answer_id: the artifact that holds the
-- response, if the response is too large for the row. Returns false if p_fence (the id of the
-- caller's claim) is not the step's current fence. Locks the step's row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION resolve_intent_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_generation integer, p_ordinal integer,
  p_resolution text, p_response jsonb, p_effect_id text, p_effect_address text,
  p_answer_id uuid, OUT resolved boolean)
LANGUAGE sql AS $$
  WITH holder AS (
    SELECT 1 FROM steps WHERE workflow_id = p_workflow AND key = p_key
       AND fence = p_fence AND status = 'running' FOR NO KEY UPDATE),
  resolved AS (
    UPDATE intents SET resolution = p_resolution, response = p_response, effect_id = p_effect_id,
           effect_address = p_effect_address, answer_id = p_answer_id
     WHERE workflow_id = p_workflow AND step_key = p_key AND generation = p_generation
       AND ordinal = p_ordinal AND EXISTS (SELECT FROM holder)
    RETURNING 1)
  SELECT EXISTS (SELECT FROM resolved)
$$;
