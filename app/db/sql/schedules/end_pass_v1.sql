-- Writes how far a pass over a schedule has come, when the next one must look at it, and the counts.
-- The caller holds the row of the schedule.
--
--   p_at: when the pass began
--   p_new_seen_to, p_next, p_next_due, p_backfill, p_backfill_to: as in fire_schedule_v1
--   p_missed: how many times were too late, apart from those in p_fates
--   p_fates: the outcomes of the starts that do not wait
--   p_waiting: how many starts wait. p_again: one of them may begin, and was not prepared
--   p_refusals: how many starts in a row were refused
CREATE OR REPLACE FUNCTION end_pass_v1(
  p_schedule uuid, p_at timestamptz, p_new_seen_to timestamptz, p_next timestamptz,
  p_next_due timestamptz, p_missed bigint, p_fates text[], p_waiting integer, p_again boolean, p_refusals integer,
  p_backfill bigint, p_backfill_to timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  most CONSTANT integer := 1000;
  most_refused CONSTANT integer := 10;
  looks_at timestamptz := CASE WHEN p_again THEN p_at END;
  next_at CONSTANT timestamptz := CASE WHEN p_next_due IS NOT NULL THEN greatest(p_next_due, p_at) END;
  -- Not in the UPDATE: PostgreSQL would plan that for each call.
  too_late CONSTANT bigint := p_missed + cardinality(array_positions(p_fates, 'missed'));
  starts CONSTANT integer := cardinality(array_positions(p_fates, 'started'));
  skips CONSTANT integer :=
    cardinality(array_positions(p_fates, 'skipped') || array_positions(p_fates, 'replaced'));
  drops CONSTANT integer := cardinality(array_positions(p_fates, 'dropped'));
  refuses CONSTANT integer := cardinality(array_positions(p_fates, 'refused'));
BEGIN
  IF p_refusals >= most_refused THEN
    PERFORM pause_schedule_v1(p_schedule, 'system', format(
      'the last %s starts were refused; see the runs of this schedule', p_refusals));
  END IF;
  IF p_backfill IS NOT NULL THEN
    UPDATE schedule_backfills AS b SET done_to = p_backfill_to,
           ended_at = CASE WHEN p_backfill_to >= b.until_at THEN clock_timestamp() END
     WHERE b.id = p_backfill;
  END IF;
  IF p_waiting > 0 THEN
    SELECT least(looks_at, min(r.expires_at)) INTO looks_at FROM schedule_runs AS r
     WHERE r.schedule_id = p_schedule AND r.is_open AND r.outcome = 'buffered';
  END IF;
  IF p_waiting < most / 2 AND EXISTS (SELECT FROM schedule_backfills AS b
       WHERE b.schedule_id = p_schedule AND b.ended_at IS NULL) THEN
    looks_at := least(looks_at, p_at + interval '1 second');
  END IF;
  UPDATE schedules AS of SET
         seen_to = p_new_seen_to,
         next_nominal_at = CASE WHEN of.paused_at IS NULL THEN p_next END,
         due_at = CASE WHEN of.paused_at IS NULL THEN p_next_due END,
         fires_at = least(looks_at, CASE WHEN of.paused_at IS NULL THEN next_at END),
         started = of.started + starts,
         missed = of.missed + too_late,
         skipped = of.skipped + skips,
         dropped = of.dropped + drops,
         refused = of.refused + refuses,
         refused_in_row = p_refusals,
         last_fired_at = CASE WHEN starts > 0 THEN p_at ELSE of.last_fired_at END
   WHERE of.id = p_schedule;
END $$;
