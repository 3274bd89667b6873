-- Writes the heartbeat of Celery beat: it has just fired what was due. The reconciler fires it if the
-- last one is too old. The commit is not flushed, because losing a heartbeat does no harm.
CREATE OR REPLACE FUNCTION schedule_beat_v1() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  INSERT INTO schedule_beat (is_only, beat_at) VALUES (true, clock_timestamp())
  ON CONFLICT (is_only) DO UPDATE SET beat_at = excluded.beat_at;
END $$;
