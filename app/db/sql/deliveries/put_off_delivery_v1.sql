-- Postpones a delivery whose decision failed. It is tried again after 2, 4, 8 ... seconds, and from
-- the p_most-th failure on after a day. From then on each failure marks the workflow for attention
-- (a person must look), unless another transaction holds the workflow row. Returns the number of
-- failures, or 0 if the delivery has been decided meanwhile.
CREATE OR REPLACE FUNCTION put_off_delivery_v1(p_delivery uuid, p_most integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  d record;
BEGIN
  UPDATE webhook_deliveries SET decision_failures = decision_failures + 1,
         decide_after = clock_timestamp() + CASE WHEN decision_failures + 1 >= p_most
           THEN interval '1 day' ELSE seconds(2 ^ (decision_failures + 1)) END
   WHERE id = p_delivery AND fate IS NULL
  RETURNING decision_failures, effect_workflow_id, effect_step_key INTO d;
  IF NOT FOUND THEN RETURN 0; END IF;
  IF d.decision_failures >= p_most THEN
    PERFORM 1 FROM workflows WHERE id = d.effect_workflow_id FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND THEN
      PERFORM call_person_v1(d.effect_workflow_id, d.effect_step_key, 'delivery_undecided');
    END IF;
  END IF;
  RETURN d.decision_failures;
END $$;
