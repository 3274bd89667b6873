-- Stores a named signal and gives it to the first approval that waits for a signal of this name. If
-- p_step is given, only that step can take it. If no approval waits, the signal is kept under the
-- external id p_early until an approval takes it; that of p_step under an id of its own, until that
-- step waits. Locks the workflow row FOR NO KEY UPDATE.
--
-- verdicts:
--   woken: `step_key` is the approval. The caller publishes it unless the workflow is paused.
--   stored: no approval waits for it yet; `step_key` is p_step.
--   duplicate: a signal with this p_delivery_id was stored earlier.
--   ended: the workflow is not running.
CREATE OR REPLACE FUNCTION signal_workflow_v1(
  p_workflow uuid, p_name text, p_early text, p_step text, p_delivery_id text, p_payload jsonb,
  p_republish double precision)
RETURNS TABLE (verdict text, step_key text, is_paused boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  made uuid;
BEGIN
  SELECT status, paused_at INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status <> 'running' THEN RETURN QUERY SELECT 'ended', NULL, false; RETURN; END IF;
  INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload)
  VALUES ('control', p_delivery_id, concat_ws(':', p_early, p_step), 'signal', p_payload)
  ON CONFLICT DO NOTHING RETURNING id INTO made;
  IF made IS NULL THEN RETURN QUERY SELECT 'duplicate', NULL, false; RETURN; END IF;
  PERFORM append_event_v1(p_workflow, 'SignalReceived', NULL, jsonb_build_object(
    'name', p_name, 'payload', payload_hash(p_payload)));
  SELECT key INTO s FROM steps
   WHERE workflow_id = p_workflow AND status = 'waiting'
     AND signal = p_name AND (p_step IS NULL OR key = p_step)
   ORDER BY position, key LIMIT 1;
  IF NOT FOUND THEN RETURN QUERY SELECT 'stored', p_step, false; RETURN; END IF;
  PERFORM take_signal_v1(p_workflow, s.key, made, p_early || ':' || s.key, p_republish);
  RETURN QUERY SELECT 'woken', s.key, w.paused_at IS NOT NULL;
END $$;
