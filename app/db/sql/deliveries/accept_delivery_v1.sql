-- Stores a verified webhook, once; false for a duplicate. With it stands the step whose effect
-- p_effect it speaks of, where the webhook carries that step: by its reference (p_workflow,
-- p_step), or by the address of a file that was uploaded for it (p_addresses). p_traced: actions
-- whose effects can be taken back by their id alone. An effect that the step waits for is known as
-- its own at once; any other is decided later (see decide_delivery_v1).
CREATE OR REPLACE FUNCTION accept_delivery_v1(
  p_platform text, p_delivery_id text, p_external_id text, p_kind text, p_payload jsonb,
  p_effect text, p_workflow uuid, p_step text, p_addresses text[], p_traced text[])
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  s record;
BEGIN
  IF p_effect IS NOT NULL AND p_workflow IS NULL THEN
    -- Materialized, because the planner expects many rows and would read the whole table for the
    -- first of them.
    WITH found AS MATERIALIZED (
      SELECT workflow_id, step_key FROM intents
       WHERE effect_address = ANY (p_addresses))
    SELECT workflow_id, step_key INTO p_workflow, p_step FROM found LIMIT 1;
  END IF;
  SELECT workflow_id, key, CASE WHEN external_id = p_effect THEN 'own' END AS fate INTO s FROM steps
   WHERE workflow_id = p_workflow AND key = p_step AND action = ANY (p_traced)
     AND kind = 'step' AND p_effect IS NOT NULL;
  INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload, effect_id,
                                  effect_workflow_id, effect_step_key, fate)
  VALUES (p_platform, p_delivery_id, p_external_id, p_kind, p_payload,
          CASE WHEN s.key IS NOT NULL THEN p_effect END, s.workflow_id, s.key, s.fate)
  ON CONFLICT DO NOTHING;
  RETURN FOUND;
END $$;
