-- Records the call p_ordinal of a step's generation as a line that waits for a batch, once, and returns
-- the line's id. The request stands in the intent of this call already. p_bytes: the size of the line as
-- it will be sent; p_ceiling: the most that it may cost, in micro-USD.
CREATE OR REPLACE FUNCTION add_line_v1(
  p_workflow uuid, p_step text, p_generation integer, p_ordinal integer, p_platform text,
  p_endpoint text, p_model text, p_bytes bigint, p_ceiling bigint)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  line uuid;
BEGIN
  INSERT INTO batch_lines (workflow_id, step_key, generation, ordinal, organisation_id, user_id,
                           platform, endpoint, model, bytes, ceiling)
  SELECT id, p_step, p_generation, p_ordinal, organisation_id, user_id, p_platform, p_endpoint,
         p_model, p_bytes, p_ceiling FROM workflows WHERE id = p_workflow
  ON CONFLICT DO NOTHING RETURNING id INTO line;
  IF line IS NULL THEN
    SELECT id INTO line FROM batch_lines
     WHERE workflow_id = p_workflow AND step_key = p_step AND generation = p_generation
       AND ordinal = p_ordinal;
  END IF;
  RETURN line;
END $$;
