-- Ends what a step has taken of a platform's allowance, because the cost p_cost of its work, in
-- micro-USD, is known. Returns whether it had taken anything. Locks the allowance only.
CREATE OR REPLACE FUNCTION settle_allowance_v1(p_workflow uuid, p_key text, p_cost bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  h record;
BEGIN
  SELECT platform, organisation_id INTO h FROM allowance_holds
   WHERE workflow_id = p_workflow AND step_key = p_key;
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM lock_allowance_v1(h.platform, h.organisation_id);
  RETURN give_back_allowance_v1(p_workflow, p_key, p_cost);
END $$;
