-- Whether an effect counts as the step's own, so that it is not undone as an orphan. That is so in
-- these cases:
--   - The step, or any other step, waits for the effect's id or has recorded it.
--   - A person has stated the step's output.
--   - An accepted call of the step's present generation made the effect.
--   - A person has stated that a call of the step was made, but not what it made. It cannot be
--     known whether it made this effect.
-- Outputs are payloads, which SQL does not read. The caller checks whether an output contains the
-- effect's id (see settle_delivery_v1).
CREATE OR REPLACE FUNCTION is_own_effect_v1(p_workflow uuid, p_key text, p_effect text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM steps WHERE external_id = p_effect AND kind <> 'orphan')
      OR EXISTS (SELECT FROM steps WHERE workflow_id = p_workflow AND key = p_key
                    AND resolved_output IS NOT NULL)
      OR EXISTS (
           SELECT FROM intents i JOIN steps s ON (s.workflow_id, s.key) = (i.workflow_id, i.step_key)
            WHERE s.workflow_id = p_workflow AND s.key = p_key AND i.generation = s.generation
              AND i.resolution = 'accepted'
              AND (i.response IS NULL OR i.effect_id = p_effect))
$$;
