-- Trigger on workflows: refuses to start a workflow on a version that is retired or does not exist.
-- A start reads which version to use and commits a moment later; the version may be retired or
-- deleted in between. The lock makes a retirement and a deletion wait for this start (see
-- definition_lock_v1). The version is read in a statement after it, which sees what was committed
-- before the lock was given.
CREATE OR REPLACE FUNCTION refuse_retired_v1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  is_retired boolean;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(definition_lock_v1(NEW.type, NEW.version));
  SELECT retired_at IS NOT NULL INTO is_retired
    FROM definitions WHERE name = NEW.type AND version = NEW.version;
  IF is_retired IS DISTINCT FROM false
     -- The row of a workflow that is restored from the archive comes back; it is no start.
     AND NOT (is_retired IS NOT NULL AND EXISTS (SELECT FROM archived WHERE workflow_id = NEW.id)) THEN
    RAISE EXCEPTION 'version % of % %', NEW.version, NEW.type,
        CASE WHEN is_retired THEN 'is retired' ELSE 'does not exist' END
      USING ERRCODE = 'check_violation', CONSTRAINT = 'workflows_not_on_a_retired_version';
  END IF;
  RETURN NEW;
END $$;
