-- Writes the heartbeat that all web servers share. If the last one is too old, no web server was
-- there and webhooks may be lost: a platform repeats them late or never. back_at then says since
-- when one is there again, and the reconciler polls the waits of before (see poll_soon_v1).
-- p_is_start: this is the first heartbeat of a process. It then takes only 3 seconds, because a
-- single web server may be restarted so quickly; else 10, because a busy one may be late.
CREATE OR REPLACE FUNCTION front_beat_v1(p_is_start boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  at timestamptz := clock_timestamp();
  longest interval := CASE WHEN p_is_start THEN interval '3 seconds' ELSE interval '10 seconds' END;
BEGIN
  -- The commit is not flushed, because losing a heartbeat in a crash of the server does no harm.
  PERFORM set_config('synchronous_commit', 'off', true);
  INSERT INTO front_beat AS f (is_only, beat_at, back_at, looked_to) VALUES (true, at, at, 'epoch')
  ON CONFLICT (is_only) DO UPDATE SET
    beat_at = at,
    back_at = CASE WHEN f.beat_at < at - longest THEN at ELSE f.back_at END,
    looked_to = CASE WHEN f.beat_at < at - longest THEN 'epoch' ELSE f.looked_to END;
END $$;
