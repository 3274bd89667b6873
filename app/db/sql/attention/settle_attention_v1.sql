-- Ends a workflow's need for attention if no step needs a person any more. If another step needs
-- one, the workflow is marked for attention because of that step instead; because of an approver whom
-- nobody is only if there is no other reason, as call_person_v1 does too. A need that no step
-- causes (a time-out past the pivot, say) stays until a person dismisses it. p_person is as in
-- needs_person_v1. The caller holds the workflow row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION settle_attention_v1(p_workflow uuid, p_person text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  before text;
  need record;
BEGIN
  SELECT attention INTO before FROM workflows WHERE id = p_workflow;
  IF is_of_a_step_v1(before) IS NOT TRUE THEN RETURN; END IF;
  SELECT step_key, reason INTO need
    FROM needs_person_v1(p_workflow, p_person) WITH ORDINALITY AS n (step_key, reason, number)
   ORDER BY reason = 'approver_unknown', number LIMIT 1;
  IF FOUND AND need.reason = before THEN RETURN; END IF;
  UPDATE workflows SET attention = NULL WHERE id = p_workflow;
  PERFORM append_event_v1(p_workflow, 'AttentionResolved', NULL,
                          jsonb_build_object('reason', before));
  IF need.step_key IS NOT NULL THEN
    PERFORM call_person_v1(p_workflow, need.step_key, need.reason);
  END IF;
END $$;
