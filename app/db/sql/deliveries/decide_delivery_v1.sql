-- Decides whose the effect of a delivery is (see settle_delivery_v1, whose verdicts and lock these
-- are). With the last delivery of a workflow that could not be decided, its call for a person is
-- taken back; a step that needs one meanwhile is called for instead. p_most: after so many failures
-- a person was called (see put_off_delivery_v1). Called by the reconciler.
CREATE OR REPLACE FUNCTION decide_delivery_v1(
  p_delivery uuid, p_is_told boolean, p_orphan jsonb, p_most integer)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  verdict text := settle_delivery_v1(p_delivery, p_is_told, p_orphan);
  workflow uuid;
  need record;
BEGIN
  IF verdict NOT IN ('own', 'orphan') THEN RETURN verdict; END IF;
  SELECT effect_workflow_id INTO workflow FROM webhook_deliveries WHERE id = p_delivery;
  -- settle_delivery_v1 holds the workflow row.
  UPDATE workflows SET attention = NULL
   WHERE id = workflow AND attention = 'delivery_undecided' AND NOT EXISTS (
     SELECT FROM webhook_deliveries WHERE effect_workflow_id = workflow AND fate IS NULL
        AND decision_failures >= p_most);
  IF FOUND THEN
    PERFORM append_event_v1(workflow, 'AttentionResolved', NULL,
                            jsonb_build_object('reason', 'delivery_undecided'));
    -- While a person was called for this, none was called for anything else. A call in doubt calls
    -- for a person itself when it is next looked up, so no action is named here.
    SELECT step_key, reason INTO need FROM needs_person_v1(workflow, '{}') LIMIT 1;
    IF FOUND THEN PERFORM call_person_v1(workflow, need.step_key, need.reason); END IF;
  END IF;
  RETURN verdict;
END $$;
