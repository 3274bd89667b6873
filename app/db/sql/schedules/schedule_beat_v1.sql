-- Writes the heartbeat of Celery beat: it has just fired what was due. The reconciler fires it if the
-- last one is too old. p_tzdata: the version of the rules of time zones that this process uses. If it
-- is newer than that of any process before, a pass computes the next times of all schedules again.
-- The commit is not flushed, because losing a heartbeat does no harm.
CREATE OR REPLACE FUNCTION schedule_beat_v1(p_tzdata text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  known text;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT tzdata INTO known FROM schedule_beat;
  INSERT INTO schedule_beat AS b (is_only, beat_at, tzdata) VALUES (true, clock_timestamp(), p_tzdata)
  ON CONFLICT (is_only) DO UPDATE SET
    beat_at = excluded.beat_at, tzdata = greatest(b.tzdata, excluded.tzdata);
  IF p_tzdata > known THEN
    UPDATE schedules SET fires_at = least(fires_at, playalter_now()) WHERE id IN (
      SELECT id FROM schedules WHERE due_at IS NOT NULL ORDER BY id FOR NO KEY UPDATE);
  END IF;
END $$;
