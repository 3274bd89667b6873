-- Trigger on workflows: a workflow that had ended is reopened to be undone. It takes its places again,
-- even if the limits are full: an undoing that is owed does not wait for others, whose own end may
-- depend on it. Nothing else is admitted until the number of places is below the limit again.
CREATE OR REPLACE FUNCTION take_turns_again_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO flow_turns (workflow_id, limit_id, is_extra)
  SELECT NEW.id, id, true FROM flow_limits_v1(NEW.flow, NEW.organisation_id, NEW.project_id)
   WHERE seconds IS NULL
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
