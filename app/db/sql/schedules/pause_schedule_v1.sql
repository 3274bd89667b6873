-- Pauses a schedule, and drops what waits, except what a person asked for. The times of the pause are
-- never made up for. Returns whether it was not paused yet. p_by: a user's id, or `system`.
CREATE OR REPLACE FUNCTION pause_schedule_v1(p_schedule uuid, p_by text, p_note text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  waiting integer;
BEGIN
  UPDATE schedules SET paused_at = playalter_now(), paused_by = p_by, paused_note = p_note,
         next_nominal_at = NULL, due_at = NULL
   WHERE id = p_schedule AND paused_at IS NULL;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE schedule_runs SET outcome = 'dropped', reason = 'paused', is_open = false,
         decided_at = clock_timestamp()
   WHERE schedule_id = p_schedule AND is_open AND outcome = 'buffered' AND kind = 'regular';
  GET DIAGNOSTICS waiting = ROW_COUNT;
  UPDATE schedules SET dropped = dropped + waiting WHERE id = p_schedule AND waiting > 0;
  PERFORM note_schedule_v1(p_schedule, 'SchedulePaused', p_by, jsonb_build_object('note', p_note));
  RETURN true;
END $$;
