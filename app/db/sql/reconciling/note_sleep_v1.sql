-- Trigger on workflows, where next_wake_at is raised: notes whether the workflow is asleep. Only
-- the reconciler raises it, so this costs nothing for a workflow that never waits.
CREATE OR REPLACE FUNCTION note_sleep_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.is_asleep := is_asleep_v1(NEW.id);
  RETURN NEW;
END $$;
