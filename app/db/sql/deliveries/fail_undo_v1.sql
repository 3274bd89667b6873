-- Records that a compensation which was done has failed afterwards at the platform, for example
-- because the bank has sent a refund back days later. The compensation p_undo is shown as failed,
-- the step p_step as not undone, the workflow as compensating and in need of a person, who decides
-- by `resolve`. Each undoing p_effect (the platform's id, such as that of the refund) is recorded
-- once, since a platform reports it by several webhooks and repeats them. p_actions: the platform's
-- actions. Locks the workflow row FOR NO KEY UPDATE, then the step's row.
--
-- verdicts:
--   reopened: it is recorded.
--   known: it was recorded earlier.
--   open: the compensation is not done. Its next attempt reads at the platform what has happened,
--     or a person is called already.
--   running: an attempt may have read the platform just before; the webhook must come again.
--   unknown: there is no such compensation.
CREATE OR REPLACE FUNCTION fail_undo_v1(
  p_platform text, p_effect text, p_workflow uuid, p_step text, p_undo text, p_actions text[],
  p_error jsonb, p_code text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
  u text;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  SELECT status INTO u FROM steps
   WHERE workflow_id = p_workflow AND key = p_undo AND of_key = p_step AND kind = 'undo'
     AND action = ANY (p_actions) FOR NO KEY UPDATE;
  IF NOT FOUND OR w NOT IN ('compensating', 'compensated') THEN RETURN 'unknown'; END IF;
  IF u = 'running' THEN RETURN 'running'; END IF;
  INSERT INTO webhook_deliveries (platform, delivery_id, kind, payload, consumed_at)
  VALUES (p_platform, 'undo-failed:' || p_effect, 'undo.failed', '{}', clock_timestamp())
  ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN RETURN 'known'; END IF;
  IF u <> 'succeeded' THEN RETURN 'open'; END IF;
  UPDATE steps SET status = 'failed', output = NULL, error = p_error, error_code = p_code
   WHERE workflow_id = p_workflow AND key = p_undo;
  UPDATE steps SET status = 'succeeded'
   WHERE workflow_id = p_workflow AND key = p_step AND status = 'compensated';
  UPDATE workflows SET status = 'compensating', completed_at = NULL, next_wake_at = playalter_now()
   WHERE id = p_workflow AND status = 'compensated';
  PERFORM append_event_v1(p_workflow, 'UndoFailed', p_step, jsonb_build_object(
    'code', p_code, 'external_id', p_effect,
    'is_reopened', CASE w WHEN 'compensated' THEN true END));
  PERFORM call_person_v1(p_workflow, p_undo, 'compensation_failed');
  RETURN 'reopened';
END $$;
