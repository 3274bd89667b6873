-- A person answers a workflow's call for which no step stands: a time-out past the pivot, or a delivery
-- that cannot be decided; the latter calls for an ended workflow too. p_by says who and p_reason why.
-- Takes the workflow row FOR NO KEY UPDATE.
-- verdicts: dismissed | unchanged (the workflow calls no person) | needs_step (a step stands for the call) | ended
CREATE OR REPLACE FUNCTION dismiss_attention_v1(p_workflow uuid, p_by text, p_reason text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
BEGIN
  SELECT attention, completed_at IS NOT NULL AS has_ended INTO w
    FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.has_ended AND w.attention IS DISTINCT FROM 'delivery_undecided' THEN RETURN 'ended'; END IF;
  IF w.attention IS NULL THEN RETURN 'unchanged'; END IF;
  IF NOT w.has_ended AND EXISTS (SELECT FROM needs_person_v1(p_workflow, NULL)) THEN
    RETURN 'needs_step';
  END IF;
  UPDATE workflows SET attention = NULL WHERE id = p_workflow;
  PERFORM append_event_v1(p_workflow, 'AttentionResolved', NULL, jsonb_build_object(
    'reason', w.attention, 'by', p_by, 'why', p_reason));
  RETURN 'dismissed';
END $$;
