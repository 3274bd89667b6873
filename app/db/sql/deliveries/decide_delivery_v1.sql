-- Decides whether the effect that a delivery reports belongs to its step or is an orphan. Verdicts
-- and lock are those of settle_delivery_v1. An undecided delivery may have marked the workflow for
-- attention: put_off_delivery_v1 does that after p_most failures. If this was the last such
-- delivery, the mark is removed; if a step needs a person, the workflow is then marked because of
-- that step. Called by the reconciler.
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
  IF EXISTS (SELECT FROM webhook_deliveries WHERE effect_workflow_id = workflow AND fate IS NULL
                AND decision_failures >= p_most) THEN
    RETURN verdict;
  END IF;
  UPDATE workflows SET hidden_need = NULL
   WHERE id = workflow AND hidden_need = 'delivery_undecided';
  UPDATE workflows SET attention = NULL
   WHERE id = workflow AND attention = 'delivery_undecided';
  IF FOUND THEN
    PERFORM append_event_v1(workflow, 'AttentionResolved', NULL,
                            jsonb_build_object('reason', 'delivery_undecided'));
    -- A workflow is marked for one reason at a time, so a step may need a person too. The list of
    -- actions is empty: if an unknown call needs a person, its next lookup marks the workflow
    -- again.
    SELECT step_key, reason INTO need FROM needs_person_v1(workflow, '{}') LIMIT 1;
    IF FOUND THEN PERFORM call_person_v1(workflow, need.step_key, need.reason); END IF;
  END IF;
  RETURN verdict;
END $$;
