-- Records an effect before it is made: the exact request, and with it the step's input, because
-- the compensation needs both. A generation's earlier record of the same ordinal is returned
-- as it stands (`is_new` false); one that was proven to have had no effect is opened again and
-- counts as new.
--
-- Returns no row where the caller's fence is no longer the step's. Locks the step's row by updating
-- it.
CREATE OR REPLACE FUNCTION record_intent_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_generation integer, p_ordinal integer,
  p_operation text, p_request json, p_idempotency_key text, p_input jsonb)
RETURNS TABLE (is_new boolean, operation text, request json, key text, first_sent_at timestamptz,
               age double precision, resolution text, response jsonb)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  UPDATE steps SET input = coalesce(p_input, input)
   WHERE workflow_id = p_workflow AND steps.key = p_key AND fence = p_fence AND status = 'running';
  IF NOT FOUND THEN RETURN; END IF;
  RETURN QUERY
    INSERT INTO intents AS i (workflow_id, step_key, generation, ordinal, operation, request, key)
    VALUES (p_workflow, p_key, p_generation, p_ordinal, p_operation, p_request, p_idempotency_key)
    ON CONFLICT DO NOTHING
    RETURNING true, i.operation, i.request, i.key, i.first_sent_at, 0::double precision,
              i.resolution, i.response;
  IF FOUND THEN RETURN; END IF;
  -- It is proven to have had no effect so far. This is a first sending again, and open until its
  -- outcome is known.
  RETURN QUERY
    UPDATE intents AS i SET resolution = NULL, response = NULL, effect_id = NULL,
           effect_address = NULL, first_sent_at = clock_timestamp()
     WHERE i.workflow_id = p_workflow AND i.step_key = p_key AND i.generation = p_generation
       AND i.ordinal = p_ordinal AND i.resolution IN ('refused', 'never')
    RETURNING true, i.operation, i.request, i.key, i.first_sent_at, 0::double precision,
              i.resolution, i.response;
  IF FOUND THEN RETURN; END IF;
  RETURN QUERY
    SELECT false, i.operation, i.request, i.key, i.first_sent_at,
           extract(epoch FROM clock_timestamp() - i.first_sent_at)::double precision,
           i.resolution, i.response
      FROM intents i WHERE i.workflow_id = p_workflow AND i.step_key = p_key
       AND i.generation = p_generation AND i.ordinal = p_ordinal;
END $$;
