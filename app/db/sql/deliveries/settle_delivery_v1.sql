-- Decides whose the effect of a delivery is, once nothing can change that: a step that runs, or
-- whose call is open, may still adopt the effect. An orphan gets the rows that take it back
-- (p_orphan is what add_orphan_v1 takes). Every outcome takes the lock that is taken here, the
-- workflow row FOR NO KEY UPDATE, and so does whatever lets a step that has ended run again; here
-- it is not waited for (SKIP LOCKED), because the next pass comes. Called by decide_delivery_v1.
-- p_is_told: the step's output, or that of its compensation, names the effect. The caller has read
-- both under the same lock.
-- verdicts: own | orphan | later (it cannot be decided yet, or the workflow is locked) | decided (before)
CREATE OR REPLACE FUNCTION settle_delivery_v1(p_delivery uuid, p_is_told boolean, p_orphan jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  d record;
  w record;
  s record;
  verdict text;
BEGIN
  SELECT effect_workflow_id AS workflow_id, effect_step_key AS step_key, effect_id INTO d
    FROM webhook_deliveries
   WHERE id = p_delivery AND fate IS NULL AND effect_workflow_id IS NOT NULL;
  IF NOT FOUND THEN RETURN 'decided'; END IF;
  SELECT completed_at INTO w FROM workflows WHERE id = d.workflow_id FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN 'later'; END IF;
  SELECT status, external_id INTO s FROM steps
   WHERE workflow_id = d.workflow_id AND key = d.step_key;
  verdict := CASE
    WHEN p_is_told OR is_own_effect_v1(d.workflow_id, d.step_key, d.effect_id) THEN 'own'
    WHEN s.status IN ('succeeded', 'skipped', 'compensated') THEN 'orphan'
    -- The step's compensation, or a person's retry, may look the open call up and find this effect.
    WHEN s.status IN ('failed', 'cancelled') THEN CASE
      WHEN w.completed_at IS NULL AND EXISTS (
        SELECT FROM intents WHERE workflow_id = d.workflow_id AND step_key = d.step_key
           AND resolution IS NULL) THEN 'later' ELSE 'orphan' END
    -- The step waits for another effect. Only a new generation drops that one, and no new generation
    -- looks up this one.
    WHEN s.external_id IS NOT NULL THEN 'orphan'
    ELSE 'later' END;
  IF verdict = 'later' THEN RETURN verdict; END IF;
  UPDATE webhook_deliveries SET fate = verdict WHERE id = p_delivery AND fate IS NULL;
  IF verdict = 'orphan' THEN PERFORM add_orphan_v1(d.workflow_id, d.step_key, p_orphan); END IF;
  RETURN verdict;
END $$;
