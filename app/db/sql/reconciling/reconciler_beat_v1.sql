-- Writes the heartbeat that all reconcilers share, and returns whether leases may be ended. If the
-- last heartbeat is more than 10 seconds old, the whole system stood still (PostgreSQL was
-- unavailable, say) and workers could not renew their leases. Then no lease is ended for p_lease
-- seconds, because else every running step would be run twice. Called at the start of each pass of
-- a reconciler, and every other second by a thread of it, also during a long pass.
CREATE OR REPLACE FUNCTION reconciler_beat_v1(p_lease double precision) RETURNS boolean
LANGUAGE sql AS $$
  INSERT INTO reconciler_beat AS b (is_only, beat_at, grace_until)
  VALUES (true, clock_timestamp(), clock_timestamp() + seconds(p_lease))
  ON CONFLICT (is_only) DO UPDATE SET
    grace_until = CASE WHEN b.beat_at < clock_timestamp() - interval '10 seconds'
                       THEN clock_timestamp() + seconds(p_lease) ELSE b.grace_until END,
    beat_at = clock_timestamp()
  RETURNING clock_timestamp() >= grace_until
$$;
