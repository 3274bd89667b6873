-- Ends what a step has taken of a platform's allowance. p_cost: what its work has cost, in micro-USD;
-- it counts in the hour in which the step reserved it, if that is not over. The caller holds the lock
-- of lock_allowance_v1.
CREATE OR REPLACE FUNCTION give_back_allowance_v1(p_workflow uuid, p_key text, p_cost bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  h record;
BEGIN
  DELETE FROM allowance_holds WHERE workflow_id = p_workflow AND step_key = p_key
  RETURNING * INTO h;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE allowances SET taken = greatest(taken - h.has_place::integer, 0),
         reserved = CASE WHEN hour = h.hour THEN greatest(reserved - h.micro_usd, 0) ELSE reserved END,
         spent = CASE WHEN hour = h.hour THEN spent + p_cost ELSE spent END
   WHERE platform = h.platform
     AND organisation_id IN ('00000000-0000-0000-0000-000000000000', h.organisation_id);
  RETURN true;
END $$;
