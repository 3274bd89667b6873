-- Sees to runs whose workflows have ended, of up to p_most schedules of which nothing waits and which
-- no failure pauses: they count as running no more. The others need a pass (see fire_schedule_v1). The
-- runs are read in a statement after the lock, because a pass may have added a start that waits.
CREATE OR REPLACE FUNCTION settle_quiet_runs_v1(p_most integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  quiet uuid[];
BEGIN
  IF NOT EXISTS (SELECT FROM schedule_runs WHERE is_open AND ended_at IS NOT NULL) THEN RETURN; END IF;
  SELECT array_agg(id) INTO quiet FROM (
    SELECT id FROM schedules
     WHERE NOT pauses_on_failure AND id IN (
       SELECT schedule_id FROM schedule_runs WHERE is_open AND ended_at IS NOT NULL LIMIT p_most)
       FOR NO KEY UPDATE SKIP LOCKED) AS locked;
  UPDATE schedule_runs AS r SET is_open = false
   WHERE r.schedule_id = ANY (quiet) AND r.is_open AND r.ended_at IS NOT NULL
     AND NOT EXISTS (SELECT FROM schedule_runs AS o
                      WHERE o.schedule_id = r.schedule_id AND o.is_open AND o.outcome = 'buffered');
END $$;
