-- Trigger on workflows, fired when next_wake_at is set to a later time than before: stores whether
-- the workflow is asleep (see is_asleep_v1). Only the reconciler does that, so the trigger costs
-- nothing for a workflow that never waits.
CREATE OR REPLACE FUNCTION note_sleep_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.is_asleep := is_asleep_v1(NEW.id);
  RETURN NEW;
END $$;
