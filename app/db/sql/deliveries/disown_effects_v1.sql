-- Called when the generation of a step rises. The effects of the step's earlier calls then no longer
-- belong to the step, and the reconciler decides whether each is an orphan (see
-- settle_delivery_v1). So that this depends on no webhook, which may be lost or may arrive at this
-- very moment, each recorded effect is stored as a delivery of platform `control`. It wakes no
-- step. An id that is longer than the ids which webhooks may report is left out: the key of an
-- orphan contains the id. What a compensation has made is never an orphan.
--
-- Effects that only a webhook has reported, and that were decided as the step's own, are decided
-- again. The caller holds the workflow row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION disown_effects_v1(p_workflow uuid, p_step text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE webhook_deliveries SET fate = NULL
   WHERE effect_workflow_id = p_workflow AND effect_step_key = p_step AND fate = 'own';
  INSERT INTO webhook_deliveries (platform, delivery_id, kind, payload, consumed_at, effect_id,
                                  effect_workflow_id, effect_step_key)
  SELECT 'control', format('effect:%s:%s:%s:%s', p_workflow, p_step, i.generation, i.ordinal),
         'effect.disowned', '{}', clock_timestamp(), i.effect_id, p_workflow, p_step
    FROM intents i JOIN steps s ON (s.workflow_id, s.key) = (i.workflow_id, i.step_key)
   WHERE i.workflow_id = p_workflow AND i.step_key = p_step AND s.kind = 'step'
     AND i.resolution = 'accepted' AND length(i.effect_id) BETWEEN 1 AND 200
  ON CONFLICT DO NOTHING;
END $$;
