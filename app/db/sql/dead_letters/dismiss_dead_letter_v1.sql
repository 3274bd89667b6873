-- Records that a dead letter needs no replay. p_by is the person, p_note the person's reason. Locks
-- the workflow row FOR NO KEY UPDATE.
-- verdicts: dismissed | unchanged (it is no dead letter, or was settled earlier)
CREATE OR REPLACE FUNCTION dismiss_dead_letter_v1(p_workflow uuid, p_by text, p_note text)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF NOT settle_dead_letter_v1(p_workflow, 'dismissed', NULL, p_note, NULL) THEN
    RETURN 'unchanged';
  END IF;
  PERFORM append_event_v1(p_workflow, 'DeadLetterDismissed', NULL, jsonb_build_object(
    'by', p_by, 'reason', p_note));
  RETURN 'dismissed';
END $$;
