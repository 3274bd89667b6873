-- Records that the effect of a step which has succeeded has failed afterwards at the platform, for
-- example because the bank has sent back the refund that the step has made. Nothing is undone by it
-- and the step stays as it is, since later steps have used its output. A person is called, whatever
-- has become of the workflow. Each effect p_effect (the platform's id, such as that of the refund)
-- is recorded once, since a platform reports it by several webhooks and repeats them. p_generation:
-- the generation of the step that has made the effect; null if the effect does not tell. p_actions:
-- the platform's actions. Locks the workflow row FOR NO KEY UPDATE, then the step's row.
--
-- verdicts:
--   called: it is recorded.
--   known: it was recorded earlier.
--   replaced: a later generation of the step has made the effect again, since a person retried it.
--   open: the step has not succeeded. Its next attempt reads at the platform what has happened.
--   running: an attempt may have read the platform just before; the webhook must come again.
--   unknown: there is no such step.
CREATE OR REPLACE FUNCTION fail_effect_v1(
  p_platform text, p_effect text, p_workflow uuid, p_step text, p_generation integer,
  p_actions text[], p_message text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  s record;
BEGIN
  PERFORM FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  SELECT status, generation INTO s FROM steps
   WHERE workflow_id = p_workflow AND key = p_step AND kind = 'step' AND action = ANY (p_actions)
     FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN 'unknown'; END IF;
  IF s.status = 'running' THEN RETURN 'running'; END IF;
  IF s.status <> 'succeeded' THEN RETURN 'open'; END IF;
  IF p_generation < s.generation THEN RETURN 'replaced'; END IF;
  INSERT INTO webhook_deliveries (platform, delivery_id, kind, payload, consumed_at)
  VALUES (p_platform, 'effect-failed:' || p_effect, 'effect.failed', '{}', clock_timestamp())
  ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN RETURN 'known'; END IF;
  -- The list of what needs a person has the failures since then.
  PERFORM call_person_v1(p_workflow, p_step, 'effect_failed');
  PERFORM append_event_v1(p_workflow, 'EffectFailed', p_step, jsonb_build_object(
    'external_id', p_effect, 'message', p_message));
  RETURN 'called';
END $$;
