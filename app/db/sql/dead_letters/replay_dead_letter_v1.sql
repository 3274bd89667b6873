-- Records that the new workflow p_replay, which has the input of p_workflow, replays it. A fork needs
-- no such call (see fork_workflow_v1). p_by is the person, p_reason the person's reason. Locks the
-- workflow row FOR NO KEY UPDATE.
-- verdicts: replayed | unchanged (it is no dead letter, or was replayed earlier)
CREATE OR REPLACE FUNCTION replay_dead_letter_v1(
  p_workflow uuid, p_replay uuid, p_by text, p_reason text)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF NOT settle_dead_letter_v1(p_workflow, 'replayed', p_replay, p_reason) THEN
    RETURN 'unchanged';
  END IF;
  PERFORM append_event_v1(p_workflow, 'WorkflowReplayed', NULL, jsonb_build_object(
    'replay', p_replay, 'by', p_by, 'reason', p_reason));
  RETURN 'replayed';
END $$;
