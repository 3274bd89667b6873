-- Whether an effect is the step's own: the step waits for it, has recorded it, or its output or
-- that of its compensation names it; or it is another step's, whatever the delivery seems to carry.
-- Where a person has said what the step's output is, or that a call was made but not what came of
-- it, the effect counts as the step's own: it cannot be told, and nothing is taken back.
CREATE OR REPLACE FUNCTION is_own_effect_v1(p_workflow uuid, p_key text, p_effect text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM steps WHERE external_id = p_effect AND kind <> 'orphan')
      OR EXISTS (SELECT FROM steps WHERE workflow_id = p_workflow AND key = p_key
                    AND resolved_output IS NOT NULL)
      OR EXISTS (
           SELECT FROM intents i JOIN steps s ON (s.workflow_id, s.key) = (i.workflow_id, i.step_key)
            WHERE s.workflow_id = p_workflow AND s.key = p_key AND i.generation = s.generation
              AND i.resolution = 'accepted'
              AND (i.response IS NULL OR i.response ->> 'id' = p_effect))
      OR EXISTS (
           SELECT FROM steps s, jsonb_each_text(CASE jsonb_typeof(s.output) WHEN 'object'
                                                     THEN s.output ELSE '{}' END) AS told
            WHERE s.workflow_id = p_workflow AND told.value = p_effect
              AND (s.key = p_key OR s.of_key = p_key AND s.kind = 'undo'))
$$;
