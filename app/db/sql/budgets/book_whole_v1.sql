-- Books all that a step has reserved as its cost, because what its calls cost will not be known. The
-- effects that they have made count as booked, so that a later compensation books nothing more. The
-- caller holds the workflow row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION book_whole_v1(p_workflow uuid, p_key text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  total bigint;
BEGIN
  INSERT INTO booked_effects (workflow_id, effect, step_key, generation)
  SELECT workflow_id, effect_id, step_key, generation FROM intents
   WHERE workflow_id = p_workflow AND step_key = p_key AND resolution = 'accepted'
     AND effect_id IS NOT NULL
  ON CONFLICT DO NOTHING;
  UPDATE steps SET cost = nullif(coalesce(cost, 0) + coalesce(reserved, 0), 0)
   WHERE workflow_id = p_workflow AND key = p_key
  RETURNING coalesce(cost, 0) INTO total;
  PERFORM append_event_v1(p_workflow, 'CostAssumed', p_key, jsonb_build_object('cost', total));
END $$;
