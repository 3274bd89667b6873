-- A part of an organisation, in which workflows and files stand.
CREATE TABLE projects (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL REFERENCES organisations (id),
  name text NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  -- For foreign keys that hold a project to its own organisation.
  CONSTRAINT projects_of_organisation UNIQUE (organisation_id, id)
);

CREATE TRIGGER is_not_needed BEFORE DELETE ON projects
  FOR EACH ROW EXECUTE FUNCTION is_not_needed_v1();
