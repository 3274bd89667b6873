-- Versions of definitions (recipes of workflows). The body of a version never changes. Every
-- organisation may use a definition that has no organisation; the built-in ones have none. weight:
-- the version's share of new workflows, if they are spread over several versions. fingerprints: for
-- each action, a hash of the schema that its input had when the body was validated. prompts: the
-- prompts that the body names, as [{name, label}] or [{name, version}], and prompts_of the project that
-- has them; both are null if it names none.
CREATE TABLE definitions (
  name text NOT NULL,
  version integer NOT NULL,
  organisation_id uuid,
  project_id uuid,
  body jsonb NOT NULL,
  checksum text NOT NULL,
  active boolean NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  weight integer,
  retired_at timestamptz,
  fingerprints jsonb,
  prompts_of uuid REFERENCES projects (id),
  prompts jsonb,
  PRIMARY KEY (name, version),
  FOREIGN KEY (organisation_id, project_id) REFERENCES projects (organisation_id, id),
  CONSTRAINT definitions_owned_whole CHECK ((organisation_id IS NULL) = (project_id IS NULL)),
  CONSTRAINT definitions_prompts_owned CHECK ((prompts_of IS NULL) = (prompts IS NULL)),
  CONSTRAINT definitions_weight CHECK (weight BETWEEN 0 AND 1000000),
  CONSTRAINT definitions_retired_starts_nothing
    CHECK (retired_at IS NULL OR (NOT active AND weight IS NULL))
);

CREATE UNIQUE INDEX definitions_one_active ON definitions (name) WHERE active;
-- The few definitions that name prompts: who moves a label, or deletes a version, looks at them.
CREATE INDEX definitions_naming_prompts ON definitions (prompts_of) WHERE prompts_of IS NOT NULL;

CREATE TRIGGER is_not_needed BEFORE DELETE ON definitions
  FOR EACH ROW EXECUTE FUNCTION is_not_needed_v1();
