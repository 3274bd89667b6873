-- Ends what a step has taken of a platform's allowance, because the cost of its work is known: all
-- that it has booked since it took it, also for earlier models that have failed. p_by: the row that
-- has booked the last cost, which is the step or its compensation. Returns whether the step had
-- taken anything. Locks the allowance only.
CREATE OR REPLACE FUNCTION settle_allowance_v1(p_workflow uuid, p_key text, p_by text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  h record;
  booked bigint;
BEGIN
  SELECT platform, organisation_id, cost_before INTO h FROM allowance_holds
   WHERE workflow_id = p_workflow AND step_key = p_key;
  IF NOT FOUND THEN RETURN false; END IF;
  SELECT sum(cost) INTO booked FROM steps WHERE workflow_id = p_workflow AND key IN (p_key, p_by);
  PERFORM lock_allowance_v1(h.platform, h.organisation_id);
  RETURN give_back_allowance_v1(
    p_workflow, p_key, greatest(coalesce(booked, 0) - h.cost_before, 0));
END $$;
