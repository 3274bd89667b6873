-- Records the outcomes of calls of several steps in one transaction, each as resolve_intent_v1 does.
-- The parameters are arrays of its parameters (of text for jsonb), and `call_number` counts the calls
-- from 1. A call whose step another transaction has locked is left out. The steps are locked in
-- ascending order.
CREATE OR REPLACE FUNCTION resolve_intents_v1(
  p_workflow uuid[], p_key text[], p_fence uuid[], p_generation integer[], p_ordinal integer[],
  p_resolution text[], p_response text[], p_effect_id text[], p_effect_address text[],
  p_answer_id uuid[])
RETURNS TABLE (call_number integer, resolved boolean) LANGUAGE plpgsql AS $$
DECLARE
  n integer;
BEGIN
  FOR n IN SELECT u.n FROM unnest(p_workflow, p_key) WITH ORDINALITY AS u (workflow, key, n)
            ORDER BY u.workflow, u.key LOOP
    PERFORM FROM steps AS s WHERE s.workflow_id = p_workflow[n] AND s.key = p_key[n]
        FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND THEN
      RETURN QUERY SELECT n, resolve_intent_v1(
        p_workflow[n], p_key[n], p_fence[n], p_generation[n], p_ordinal[n], p_resolution[n],
        p_response[n]::jsonb, p_effect_id[n], p_effect_address[n], p_answer_id[n]);
    END IF;
  END LOOP;
END $$;
