-- Records intents of several steps in one transaction, each as record_intent_v1 does. The parameters
-- are arrays of its parameters (of text for jsonb), and `call_number` counts the calls from 1. A call
-- whose step another transaction has locked is left out. The steps are locked in ascending order.
CREATE OR REPLACE FUNCTION record_intents_v1(
  p_workflow uuid[], p_key text[], p_fence uuid[], p_generation integer[], p_ordinal integer[],
  p_operation text[], p_request text[], p_idempotency_key text[], p_input text[])
RETURNS TABLE (call_number integer, is_new boolean, operation text, request json, key text,
               first_sent_at timestamptz, age double precision, resolution text, response jsonb,
               answer_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
  n integer;
BEGIN
  FOR n IN SELECT u.n FROM unnest(p_workflow, p_key) WITH ORDINALITY AS u (workflow, key, n)
            ORDER BY u.workflow, u.key LOOP
    PERFORM FROM steps AS s WHERE s.workflow_id = p_workflow[n] AND s.key = p_key[n]
        FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND THEN
      RETURN QUERY SELECT n, f.* FROM record_intent_v1(
        p_workflow[n], p_key[n], p_fence[n], p_generation[n], p_ordinal[n], p_operation[n],
        p_request[n]::json, p_idempotency_key[n], p_input[n]::jsonb) AS f;
    END IF;
  END LOOP;
END $$;
