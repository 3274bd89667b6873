-- For how long something is put off that could not be handled: 5 s at first, twice as long each time,
-- at most an hour.
CREATE OR REPLACE FUNCTION growing_pause(p_failures integer) RETURNS interval
LANGUAGE sql IMMUTABLE AS $$
  SELECT seconds(least(5 * 2 ^ p_failures, 3600))
$$;
