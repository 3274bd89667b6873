-- Starts a fork: a new workflow of the source's version, organisation and project. It adopts
-- recorded outcomes of the source and runs the other steps. The caller holds the source's row FOR
-- NO KEY UPDATE, and has checked that the steps p_adopted ([{key}]) have ended and are not undone.
-- The rows of the new workflow need no lock, because no other transaction sees them before the
-- commit.
--
-- adopted_from stores the workflow that made an outcome, also if the source had adopted it too.
-- External ids, generations and costs are not copied: they belong to calls that the fork has not
-- made. The fork gets a budget of its own, as large as the one that the source spends. If the source
-- has failed for good, the fork carries its work on, so the source leaves the dead letters (p_request
-- is as in settle_dead_letter_v1).
--
-- Returns the verdict of start_workflow_v1.
--
-- p_artifacts: the files that p_input or p_step_input mentions. p_step_input: the input of the step
-- p_from_step; null if it is not replaced.
CREATE OR REPLACE FUNCTION fork_workflow_v1(
  p_id uuid, p_source uuid, p_from_step text, p_input jsonb, p_idempotency_key text,
  p_request_hash bytea, p_timeout double precision, p_steps jsonb, p_adopted jsonb,
  p_step_input jsonb, p_by text, p_reason text, p_republish double precision,
  p_artifacts uuid[], p_asks boolean, p_request bytea, p_flow jsonb DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  verdict text;
BEGIN
  SELECT start_workflow_v1(p_id, w.user_id, w.type, w.version, p_input, p_idempotency_key,
                            p_request_hash, p_timeout, p_steps, p_republish, w.priority,
                            NULL, NULL, 0, b.amount, p_artifacts, p_asks, p_flow, true)
    INTO verdict FROM workflows w LEFT JOIN budgets b ON b.workflow_id = w.budget_id WHERE w.id = p_source;
  IF verdict = 'full' THEN RETURN verdict; END IF;
  -- The steps that a pending fork begins with are released by begin_workflow_v1.
  IF verdict = 'waits' THEN PERFORM add_steps_v1(p_id, p_steps, p_republish, true); END IF;
  UPDATE workflows AS w SET forked_from = p_source, organisation_id = source.organisation_id,
         project_id = source.project_id
    FROM workflows AS source WHERE w.id = p_id AND source.id = p_source;
  -- Adopted outcomes may mention the files that the source's input mentions.
  INSERT INTO workflow_artifacts (artifact_id, workflow_id)
  SELECT artifact_id, p_id FROM workflow_artifacts WHERE workflow_id = p_source
  ON CONFLICT DO NOTHING;
  UPDATE steps SET input = p_step_input
   WHERE workflow_id = p_id AND key = p_from_step AND p_step_input IS NOT NULL;
  INSERT INTO steps (workflow_id, key, role, position, action, status, next_keys, join_key,
                     item_heads, item_count, next_item, remaining, item, input, output, error,
                     error_code, ready_at, started_at, finished_at, is_tolerated, adopted_from)
  SELECT p_id, s.key, s.role, s.position, s.action, s.status, s.next_keys, s.join_key,
         s.item_heads, s.item_count, s.next_item, s.remaining, s.item, s.input, s.output, s.error,
         s.error_code, s.ready_at, s.started_at, s.finished_at, s.is_tolerated,
         coalesce(s.adopted_from, p_source)
    FROM jsonb_to_recordset(p_adopted) AS a (key text)
    JOIN steps s ON s.workflow_id = p_source AND s.key = a.key;
  PERFORM append_event_v1(p_id, 'StepAdopted', s.key, jsonb_build_object(
            'from', s.adopted_from, 'output', payload_hash(s.output),
            'status', nullif(s.status, 'succeeded'), 'count', s.item_count,
            'code', s.error_code))
     FROM (SELECT * FROM steps WHERE workflow_id = p_id AND adopted_from IS NOT NULL
            ORDER BY position, key) AS s;
  PERFORM append_event_v1(p_source, 'WorkflowForked', NULL, jsonb_build_object(
    'fork', p_id, 'from_step', p_from_step, 'by', p_by, 'reason', p_reason));
  PERFORM settle_dead_letter_v1(p_source, 'replayed', p_id, p_reason, p_request);
  RETURN verdict;
END $$;
