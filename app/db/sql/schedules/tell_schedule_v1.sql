-- Trigger on workflows: stores at the run of a schedule that its workflow has ended. A pass sees to it
-- soon (see fire_schedule_v1). This locks no row of schedules, because a pass may hold it while it
-- starts other workflows.
CREATE OR REPLACE FUNCTION tell_schedule_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE schedule_runs SET ended_at = clock_timestamp(), ended_as = NEW.status, cause = NEW.cause
   WHERE workflow_id = NEW.id AND is_open AND ended_at IS NULL;
  RETURN NULL;
END $$;
