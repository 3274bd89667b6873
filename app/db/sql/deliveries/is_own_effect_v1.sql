-- Whether an effect at a platform must be kept, and not be undone as an orphan (an effect to which
-- no step has a claim). It is kept in these cases:
--   - A person has entered the step's output.
--   - A call of the step's present generation, to which the platform agreed, made the effect.
--   - A person has said that a call of the step was made, but not what it made. It cannot be known
--     whether it made this effect.
-- It is also kept if a step of the same platform waits for its id or has recorded it. SQL does not
-- know the platform of an action, and reads no outputs (they are payloads, and may be encrypted one
-- day). So the caller checks both (see settle_delivery_v1).
CREATE OR REPLACE FUNCTION is_own_effect_v1(p_workflow uuid, p_key text, p_effect text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM steps WHERE workflow_id = p_workflow AND key = p_key
                    AND resolved_output IS NOT NULL)
      OR EXISTS (
           SELECT FROM intents i JOIN steps s ON (s.workflow_id, s.key) = (i.workflow_id, i.step_key)
            WHERE s.workflow_id = p_workflow AND s.key = p_key AND i.generation = s.generation
              AND i.resolution = 'accepted'
              AND (i.response IS NULL AND i.answer_id IS NULL OR i.effect_id = p_effect))
$$;
