-- Sees to the runs of a schedule whose workflows have ended: they count as running no more, and if one
-- has failed or timed out, the schedule is paused where it is set to. Compensating workflows have not
-- ended. The caller holds the row of the schedule.
CREATE OR REPLACE FUNCTION settle_runs_v1(p_schedule uuid, p_pauses_on_failure boolean)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  failed record;
BEGIN
  WITH ended AS (
    UPDATE schedule_runs SET is_open = false
     WHERE schedule_id = p_schedule AND is_open AND ended_at IS NOT NULL
    RETURNING id, nominal_at, workflow_id, ended_as, cause)
  SELECT * INTO failed FROM ended
   WHERE ended_as <> 'succeeded' AND cause IN ('failed', 'timed_out') ORDER BY id LIMIT 1;
  IF failed.id IS NOT NULL AND p_pauses_on_failure THEN
    PERFORM pause_schedule_v1(p_schedule, 'system', format(
      'the workflow %s, started for %s, has %s', failed.workflow_id, utc_text(failed.nominal_at),
      CASE failed.cause WHEN 'failed' THEN 'failed' ELSE 'timed out' END));
  END IF;
END $$;
