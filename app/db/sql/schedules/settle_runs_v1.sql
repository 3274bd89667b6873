-- Sees to the runs of a schedule whose workflows have ended: they count as running no more, and if one
-- has failed or timed out, the schedule is paused where it is set to. Compensating workflows have not
-- ended. The caller holds the row of the schedule. Returns how many starts that waited the pause has
-- dropped.
CREATE OR REPLACE FUNCTION settle_runs_v1(p_schedule uuid, p_pauses_on_failure boolean)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  failed record;
  before bigint;
  dropped bigint;
BEGIN
  WITH ended AS (
    UPDATE schedule_runs SET is_open = false
     WHERE schedule_id = p_schedule AND is_open AND ended_at IS NOT NULL
    RETURNING id, nominal_at, workflow_id, ended_as, cause)
  SELECT * INTO failed FROM ended
   WHERE ended_as <> 'succeeded' AND cause IN ('failed', 'timed_out') ORDER BY id LIMIT 1;
  IF failed.id IS NULL OR NOT p_pauses_on_failure THEN RETURN 0; END IF;
  SELECT s.dropped INTO before FROM schedules AS s WHERE s.id = p_schedule;
  PERFORM pause_schedule_v1(p_schedule, 'system', format(
    'the workflow %s, started for %s, has %s', failed.workflow_id, utc_text(failed.nominal_at),
    CASE failed.cause WHEN 'failed' THEN 'failed' ELSE 'timed out' END));
  SELECT s.dropped INTO dropped FROM schedules AS s WHERE s.id = p_schedule;
  RETURN dropped - before;
END $$;
