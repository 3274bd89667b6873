-- Lists by status that read what they show: no finished and no sleeping workflow is passed over.
--
-- Whether a running workflow is suspended follows from its steps and from the time, so no index can
-- hold it. is_asleep is what an index can hold: found when next_wake_at is raised, which only the
-- reconciler does. Whatever gives a sleeper something to do lowers next_wake_at to within the longest
-- republish time, or it could be lost. So one that is asleep and is not to be looked at soon is
-- suspended; one of which this is not known yet (null) is to be looked at soon. All others are asked.
ALTER TABLE workflows ADD COLUMN is_asleep boolean;

-- Something waits, and nothing else is on its way, not even to a later time.
CREATE FUNCTION is_asleep_v1(p_workflow uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce(bool_or(status = 'waiting'), false)
         AND NOT coalesce(bool_or(status IN ('running', 'unknown')
                                  OR status = 'pending' AND publish_after IS NOT NULL), false)
    FROM steps WHERE workflow_id = p_workflow
$$;

-- A trigger, so that a reconciler of the release before keeps it true as well. It costs the way of a
-- workflow that never waits nothing: what is raised there is raised by nobody.
CREATE FUNCTION note_sleep_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.is_asleep := is_asleep_v1(NEW.id);
  RETURN NEW;
END $$;
CREATE TRIGGER note_sleep BEFORE UPDATE OF next_wake_at ON workflows FOR EACH ROW
  WHEN (NEW.next_wake_at > OLD.next_wake_at AND NEW.completed_at IS NULL)
  EXECUTE FUNCTION note_sleep_v1();

UPDATE workflows SET is_asleep = is_asleep_v1(id) WHERE completed_at IS NULL;

-- None has an entry for a workflow that runs and succeeds without a look of the reconciler, and their
-- columns change only with those of workflows_due: no update stops being HOT.
CREATE INDEX workflows_asleep ON workflows (user_id, id) WHERE completed_at IS NULL AND is_asleep;
CREATE INDEX workflows_awake ON workflows (user_id, id) WHERE completed_at IS NULL AND NOT is_asleep;
CREATE INDEX workflows_by_rare_status ON workflows (user_id, status, id)
  WHERE status IN ('pending', 'failed', 'compensating', 'compensated', 'cancelled');

-- Each workflow leaves dead entries at the head of workflows_due, where every pass begins. At the
-- usual fifth of the table a pass would step over more of them the more workflows have finished.
ALTER TABLE workflows SET (autovacuum_vacuum_scale_factor = 0.05);
