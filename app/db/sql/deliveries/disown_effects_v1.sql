-- Called when the generation of a step rises. The effects of the step's earlier calls then no longer
-- belong to the step, and the reconciler decides whether each is an orphan (see
-- settle_delivery_v1). So that this depends on no webhook, which may be lost or may arrive at this
-- very moment, each recorded effect is stored as a delivery of platform `control`. It wakes no
-- step. An id that is longer than the ids which webhooks may report is left out: the key of an
-- orphan contains the id. What a compensation has made is never an orphan.
--
-- Effects that only a webhook has reported, and that were decided as the step's own, are decided
-- again. The caller holds the workflow row FOR NO KEY UPDATE.
--
-- p_reserved: what the step had reserved of its budget before, in micro-USD. The platform may go on
-- with the last effect of the earlier generations, so the delivery of that effect keeps the
-- reservation until the effect is decided, unless the effect's cost is booked, the step still waits
-- for the effect, or the delivery has a reservation from an earlier rise: then the step keeps its own.
CREATE OR REPLACE FUNCTION disown_effects_v1(p_workflow uuid, p_step text, p_reserved bigint)
RETURNS void LANGUAGE plpgsql AS $$
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
  UPDATE webhook_deliveries SET reserved = p_reserved
   WHERE p_reserved > 0 AND reserved = 0 AND fate IS NULL AND platform = 'control' AND delivery_id = (
     SELECT format('effect:%s:%s:%s:%s', p_workflow, p_step, i.generation, i.ordinal)
       FROM intents i JOIN steps s ON (s.workflow_id, s.key) = (i.workflow_id, i.step_key)
      WHERE i.workflow_id = p_workflow AND i.step_key = p_step AND i.generation < s.generation
        AND i.resolution = 'accepted' AND i.effect_id IS NOT NULL AND s.external_id IS NULL
        AND NOT EXISTS (SELECT FROM booked_effects AS b
                         WHERE b.workflow_id = p_workflow AND b.effect = i.effect_id)
      ORDER BY i.generation DESC, i.ordinal DESC LIMIT 1);
  IF FOUND THEN
    UPDATE steps SET reserved = 0 WHERE workflow_id = p_workflow AND key = p_step AND reserved > 0;
    PERFORM book_v1(budget_id, 0, p_reserved) FROM workflows WHERE id = p_workflow;
  END IF;
END $$;
