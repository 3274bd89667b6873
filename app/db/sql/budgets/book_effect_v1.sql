-- Books what an effect at a platform has cost, p_cost in micro-USD, while the attempt runs, and the
-- model p_model that was paid for, if the platform has models; it does nothing if the workflow has
-- booked the effect before. Accepted only from the attempt whose fence (the id of its claim) is
-- current. The workflow row is locked first, FOR NO KEY UPDATE.
--
-- p_lost: the key of a call whose answer was lost, if this is what that may have cost.
-- p_instead: the key of the call that has made the effect, if its answer was lost. The cost then
-- takes the place of one that was booked for this call in that way.
--
-- verdicts:
--   booked
--   known: the cost of the effect was booked before; nothing was done.
--   fenced: the fence is not current; nothing was done.
CREATE OR REPLACE FUNCTION book_effect_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_effect text, p_cost bigint, p_model text,
  p_lost text, p_instead text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  risen integer;
  lost record;
  total bigint;
BEGIN
  PERFORM FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  SELECT generation INTO risen FROM steps
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running';
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  INSERT INTO booked_effects (workflow_id, effect, step_key, generation, cost, model, lost_call)
  VALUES (p_workflow, p_effect, p_key, risen, p_cost, p_model, p_lost) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN RETURN 'known'; END IF;
  UPDATE steps SET cost = nullif(coalesce(cost, 0) + p_cost, 0)
   WHERE workflow_id = p_workflow AND key = p_key;
  IF p_instead IS NULL THEN RETURN 'booked'; END IF;
  UPDATE booked_effects SET cost = 0, lost_call = NULL
   WHERE workflow_id = p_workflow AND effect = (
     SELECT min(effect) FROM booked_effects
      WHERE workflow_id = p_workflow AND lost_call = p_instead)
  RETURNING step_key, old.cost INTO lost;
  IF FOUND THEN
    UPDATE steps SET cost = nullif(cost - lost.cost, 0)
     WHERE workflow_id = p_workflow AND key = lost.step_key
    RETURNING coalesce(cost, 0) INTO total;
    PERFORM append_event_v1(p_workflow, 'CostCorrected', lost.step_key,
                            jsonb_build_object('cost', total));
  END IF;
  RETURN 'booked';
END $$;
