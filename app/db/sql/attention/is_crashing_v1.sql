-- Whether a step has crashed so many workers, one after another and without an outcome in between,
-- that a person must look at it. No other place knows the number.
CREATE OR REPLACE FUNCTION is_crashing_v1(p_crashes integer) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT p_crashes >= 5
$$;
