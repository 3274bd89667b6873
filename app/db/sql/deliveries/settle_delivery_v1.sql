-- Decides whether the effect that a delivery reports is the step's own or an orphan. It waits until
-- nothing can change the answer: a running step, or a step with an open call (a call of unknown
-- outcome), may still turn out to own the effect. For an orphan it adds the rows that undo it.
-- Called by decide_delivery_v1.
--
-- The workflow row is locked FOR NO KEY UPDATE, as by every transaction that records an outcome or
-- lets an ended step run again. SKIP LOCKED, because the reconciler's next pass tries again.
-- p_is_told: the output of the step or of its compensation contains the effect's id, or a step of
-- the delivery's platform waits for that id or has recorded it. The caller has read them under the
-- same lock. p_orphan is as in add_orphan_v1.
--
-- verdicts:
--   own
--   orphan
--   later: it cannot be decided yet, or another transaction holds the workflow row.
--   decided: it was decided earlier.
CREATE OR REPLACE FUNCTION settle_delivery_v1(p_delivery uuid, p_is_told boolean, p_orphan jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  d record;
  w record;
  s record;
  verdict text;
  kept bigint;
BEGIN
  SELECT effect_workflow_id AS workflow_id, effect_step_key AS step_key, effect_id, reserved INTO d
    FROM webhook_deliveries
   WHERE id = p_delivery AND fate IS NULL AND effect_workflow_id IS NOT NULL;
  IF NOT FOUND THEN RETURN 'decided'; END IF;
  SELECT completed_at, budget_id INTO w FROM workflows WHERE id = d.workflow_id
     FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN 'later'; END IF;
  SELECT status, external_id, error_code, generation INTO s FROM steps
   WHERE workflow_id = d.workflow_id AND key = d.step_key;
  verdict := CASE
    WHEN p_is_told OR is_own_effect_v1(d.workflow_id, d.step_key, d.effect_id) THEN 'own'
    WHEN s.status IN ('succeeded', 'skipped', 'compensated') THEN 'orphan'
    -- The step's compensation, or a retry by a person, may look up the open call and find this
    -- effect.
    WHEN s.status IN ('failed', 'cancelled') THEN CASE
      WHEN w.completed_at IS NULL AND EXISTS (
        SELECT FROM intents WHERE workflow_id = d.workflow_id AND step_key = d.step_key
           AND resolution IS NULL) THEN 'later' ELSE 'orphan' END
    -- The step has waited for another effect. Only a new generation forgets that one, and the calls
    -- of a new generation do not find this effect. But a step that asks a second model after the
    -- first has an open call in the same generation, which may have made this effect.
    WHEN s.external_id IS NOT NULL THEN CASE
      WHEN EXISTS (
        SELECT FROM intents WHERE workflow_id = d.workflow_id AND step_key = d.step_key
           AND generation = s.generation AND resolution IS NULL) THEN 'later' ELSE 'orphan' END
    -- The step waits for its budget, and part of that is reserved for this effect of an earlier
    -- generation.
    WHEN d.reserved > 0 AND s.status = 'pending'
         AND s.error_code IN ('waits_for_budget', 'over_budget') THEN 'orphan'
    ELSE 'later' END;
  IF verdict = 'later' THEN RETURN verdict; END IF;
  UPDATE webhook_deliveries SET fate = verdict, reserved = 0 WHERE id = p_delivery AND fate IS NULL
  RETURNING old.reserved INTO kept;
  IF verdict = 'orphan' THEN
    PERFORM add_orphan_v1(d.workflow_id, d.step_key, p_orphan, kept);
  END IF;
  IF kept > 0 THEN PERFORM book_v1(w.budget_id, 0, -kept); END IF;
  RETURN verdict;
END $$;
