-- Writes the beat that all reconcilers share, and says whether leases may be expired. A beat that
-- is late by 10 seconds means that everything stood still (PostgreSQL was away, say); then no lease
-- is expired for one lease length, or every step that runs would be doubled. Called at the begin of
-- each pass.
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
