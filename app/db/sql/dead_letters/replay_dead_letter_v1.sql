-- Starts the new workflow p_replay, which does the work of the open dead letter p_workflow again from
-- its beginning, and takes it out of the open ones: both or neither. A fork needs no such call (see
-- fork_workflow_v1). p_by is the person, p_reason the person's reason, p_request as in
-- settle_dead_letter_v1, the other parameters as in start_workflow_v1. Locks the workflow row FOR NO
-- KEY UPDATE.
-- verdicts: those of start_workflow_v1 | unchanged (it is no open dead letter; nothing was written)
CREATE OR REPLACE FUNCTION replay_dead_letter_v1(
  p_workflow uuid, p_replay uuid, p_version integer, p_input jsonb, p_timeout double precision,
  p_steps jsonb, p_republish double precision, p_budget bigint, p_artifacts uuid[], p_asks boolean,
  p_by text, p_reason text, p_request bytea, p_flow jsonb DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  verdict text;
BEGIN
  PERFORM 1 FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  SELECT start_workflow_v1(p_replay, w.user_id, w.type, p_version, p_input, NULL, NULL, p_timeout,
                           p_steps, p_republish, w.priority, NULL, NULL, 0, p_budget, p_artifacts,
                           p_asks, p_flow)
    INTO verdict FROM workflows w JOIN dead_letters d ON d.workflow_id = w.id
   WHERE w.id = p_workflow AND d.settled_at IS NULL AND w.attention IS NULL
     AND w.completed_at IS NOT NULL;
  IF NOT FOUND THEN RETURN 'unchanged'; END IF;
  IF verdict = 'full' THEN RETURN verdict; END IF;
  PERFORM settle_dead_letter_v1(p_workflow, 'replayed', p_replay, p_reason, p_request);
  PERFORM append_event_v1(p_workflow, 'WorkflowReplayed', NULL, jsonb_build_object(
    'replay', p_replay, 'by', p_by, 'reason', p_reason));
  RETURN verdict;
END $$;
