-- Trigger on workflows: refuses to start a workflow on a retired version. A start reads which
-- version to use and commits a moment later; the version may be retired in between. The lock on the
-- definition's row, FOR KEY SHARE, makes a retirement wait for this start.
CREATE OR REPLACE FUNCTION refuse_retired_v1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  is_retired boolean;
BEGIN
  SELECT retired_at IS NOT NULL INTO is_retired
    FROM definitions WHERE name = NEW.type AND version = NEW.version FOR KEY SHARE;
  IF is_retired THEN
    RAISE EXCEPTION 'version % of % is retired', NEW.version, NEW.type
      USING ERRCODE = 'check_violation', CONSTRAINT = 'workflows_not_on_a_retired_version';
  END IF;
  RETURN NEW;
END $$;
