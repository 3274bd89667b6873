-- Adds to a stored webhook the effect that it reports and the step that has caused the effect, which
-- had to be read at the platform (see accept_delivery_v1, which stores them if the webhook itself
-- tells). A webhook that has them keeps them. Returns whether they were added.
CREATE OR REPLACE FUNCTION trace_delivery_v1(
  p_platform text, p_delivery_id text, p_effect text, p_workflow uuid, p_step text, p_traced text[])
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  UPDATE webhook_deliveries d
     SET effect_id = p_effect, effect_workflow_id = s.workflow_id, effect_step_key = s.key,
         fate = CASE WHEN s.external_id = p_effect THEN 'own' END
    FROM steps s
   WHERE d.platform = p_platform AND d.delivery_id = p_delivery_id AND d.effect_workflow_id IS NULL
     AND s.workflow_id = p_workflow AND s.key = p_step AND s.action = ANY (p_traced)
     AND s.kind = 'step';
  RETURN FOUND;
END $$;
