-- Appends the event ModelPassedOver: the step asks another model than p_data names ({model, code,
-- checks}), for a reason that `code` says. `checks` are those of its quality that an answer has not
-- passed. Accepted only from the attempt whose fence (the id of its claim) is current. The workflow
-- row is locked first, FOR NO KEY UPDATE.
--
-- Returns false if the fence is not current; then nothing was written.
CREATE OR REPLACE FUNCTION pass_over_v1(p_workflow uuid, p_key text, p_fence uuid, p_data jsonb)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  PERFORM FROM steps
    WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running';
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM append_event_v1(p_workflow, 'ModelPassedOver', p_key, p_data);
  RETURN true;
END $$;
