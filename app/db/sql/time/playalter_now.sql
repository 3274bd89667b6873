-- The time that waits, time-outs and schedules go by: the database's clock, plus an offset that
-- only a test database may set (see clock_offset_only_in_tests). Leases, deadlines and
-- publish_after are real time, clock_timestamp().
CREATE OR REPLACE FUNCTION playalter_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT clock_timestamp() + coalesce((SELECT amount FROM clock_offset), interval '0')
$$;
