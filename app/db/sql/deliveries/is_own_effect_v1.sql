-- Whether an effect is the step's own: the step waits for it or has recorded it; or it is another
-- step's, whatever the delivery seems to carry. Whether an output names it is for the caller to
-- read, because outputs are payloads (see settle_delivery_v1). Where a person has said what the
-- step's output is, or that a call was made but not what came of it, the effect counts as the
-- step's own: it cannot be told, and nothing is taken back.
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
