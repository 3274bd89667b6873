-- Returns the verdict of a start, or raises an error if its lane is full, so that what was taken for
-- this start in the same transaction is given back.
CREATE OR REPLACE FUNCTION unless_full_v1(p_verdict text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  IF p_verdict = 'full' THEN
    RAISE EXCEPTION 'too many starts wait in this lane'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'flow_lane_is_full';
  END IF;
  RETURN p_verdict;
END $$;
