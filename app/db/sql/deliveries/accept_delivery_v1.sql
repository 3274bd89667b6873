-- Stores a verified webhook once; returns false if it was stored earlier. A webhook may report an
-- effect, p_effect. The row then also stores the step that caused the effect, if the webhook tells
-- which step that is: by the step's reference (p_workflow, p_step), or by the address of a file
-- that was uploaded for the step (p_addresses). This is done only for the actions p_traced, whose
-- effects can be undone by their id alone. An effect that the step waits for is marked as the
-- step's own at once. Other effects are decided later (see decide_delivery_v1).
CREATE OR REPLACE FUNCTION accept_delivery_v1(
  p_platform text, p_delivery_id text, p_external_id text, p_kind text, p_payload jsonb,
  p_effect text, p_workflow uuid, p_step text, p_addresses text[], p_traced text[])
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  s record;
BEGIN
  IF p_effect IS NOT NULL AND p_workflow IS NULL THEN
    -- Materialized, because the planner expects many rows and would read the whole table to find
    -- the first.
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
