-- The time that waits, time-outs and schedules use: the database's clock plus an offset, which only
-- the database of a sandbox or of a test may set (see clock_moves_only_in_sandboxes). Leases, deadlines
-- and publish_after use the real time, clock_timestamp().
CREATE OR REPLACE FUNCTION playalter_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT clock_timestamp() + coalesce((SELECT amount FROM clock_offset), interval '0')
$$;
