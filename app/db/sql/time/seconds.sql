-- A number of seconds as an interval.
CREATE OR REPLACE FUNCTION seconds(p_seconds double precision) RETURNS interval
LANGUAGE sql IMMUTABLE AS $$
  SELECT make_interval(secs => p_seconds)
$$;
