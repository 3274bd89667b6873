-- Versions of definitions: a share of the starts for each, retirement, and what was active when.
ALTER TABLE definitions
  ADD COLUMN weight integer,
  ADD COLUMN retired_at timestamptz,
  ADD CONSTRAINT definitions_weight CHECK (weight BETWEEN 0 AND 1000000),
  ADD CONSTRAINT definitions_retired_starts_nothing
    CHECK (retired_at IS NULL OR (NOT active AND weight IS NULL));

-- One row each time a version became the active one; a rollback takes the newest of them back.
CREATE TABLE definition_activations (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  name text NOT NULL,
  version integer NOT NULL,
  activated_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  taken_back_at timestamptz,
  FOREIGN KEY (name, version) REFERENCES definitions (name, version)
);
CREATE INDEX definition_activations_by_name ON definition_activations (name, id);
INSERT INTO definition_activations (name, version) SELECT name, version FROM definitions WHERE active;

ALTER TABLE api_keys ADD COLUMN is_admin boolean DEFAULT false NOT NULL;

-- A start reads which version to take and commits a moment later: a version that was retired between
-- the two starts nothing. The lock is the one that the foreign key takes anyway; retiring waits for it.
CREATE FUNCTION refuse_retired_v1() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER workflows_not_on_a_retired_version BEFORE INSERT ON workflows
  FOR EACH ROW EXECUTE FUNCTION refuse_retired_v1();
