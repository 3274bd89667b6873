-- Before a call that changes something at the platform is sent, records it: its exact request, and
-- the step's input, because the compensation needs both (p_input: null if it is recorded). A record is found again by the step's
-- generation (a number that grows when a person restarts the step) and p_ordinal (the position of
-- the call among the step's calls). If it exists, it is returned unchanged (`is_new` false). But if
-- a lookup has shown that its call had no effect, it is set back to unsent and `is_new` is true.
--
-- `age`: for how many seconds the platform may have known the idempotency key. It counts from the
-- first sending of all, because even a call that was refused may have told the platform the key.
-- `first_sent_at` is where a lookup begins: an effect cannot be older than the sending after the
-- last refusal.
--
-- Returns no row if p_fence (the id of the caller's claim) is not the step's current fence. The
-- step's row is locked FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION record_intent_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_generation integer, p_ordinal integer,
  p_operation text, p_request json, p_idempotency_key text, p_input jsonb)
RETURNS TABLE (is_new boolean, operation text, request json, key text, first_sent_at timestamptz,
               age double precision, resolution text, response jsonb, answer_id uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  IF p_input IS NULL THEN
    -- Only locked: to write a new version of the row costs as much as the intent.
    PERFORM FROM steps WHERE workflow_id = p_workflow AND steps.key = p_key AND fence = p_fence
        AND status = 'running' FOR NO KEY UPDATE;
  ELSE
    UPDATE steps SET input = p_input
     WHERE workflow_id = p_workflow AND steps.key = p_key AND fence = p_fence
       AND status = 'running';
  END IF;
  IF NOT FOUND THEN RETURN; END IF;
  RETURN QUERY
    INSERT INTO intents AS i (workflow_id, step_key, generation, ordinal, operation, request, key)
    VALUES (p_workflow, p_key, p_generation, p_ordinal, p_operation, p_request, p_idempotency_key)
    ON CONFLICT DO NOTHING
    RETURNING true, i.operation, i.request, i.key, i.first_sent_at, 0::double precision,
              i.resolution, i.response, i.answer_id;
  IF FOUND THEN RETURN; END IF;
  -- The earlier call had no effect, so this is a first sending again, under the same key. The record
  -- is open until the outcome is known.
  RETURN QUERY
    UPDATE intents AS i SET resolution = NULL, response = NULL, effect_id = NULL,
           effect_address = NULL, answer_id = NULL, first_sent_at = clock_timestamp()
     WHERE i.workflow_id = p_workflow AND i.step_key = p_key AND i.generation = p_generation
       AND i.ordinal = p_ordinal AND i.resolution IN ('refused', 'never')
    RETURNING true, i.operation, i.request, i.key, i.first_sent_at,
              extract(epoch FROM clock_timestamp() - i.key_sent_at)::double precision,
              i.resolution, i.response, i.answer_id;
  IF FOUND THEN RETURN; END IF;
  RETURN QUERY
    SELECT false, i.operation, i.request, i.key, i.first_sent_at,
           extract(epoch FROM clock_timestamp() - i.key_sent_at)::double precision,
           i.resolution, i.response, i.answer_id
      FROM intents i WHERE i.workflow_id = p_workflow AND i.step_key = p_key
       AND i.generation = p_generation AND i.ordinal = p_ordinal;
END $$;
