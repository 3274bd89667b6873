-- A part of an organisation. Workflows and files belong to a project.
CREATE TABLE projects (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL REFERENCES organisations (id),
  name text NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  -- For foreign keys that make sure that a project belongs to the same row's organisation.
  CONSTRAINT projects_of_organisation UNIQUE (organisation_id, id)
);

CREATE TRIGGER is_not_needed BEFORE DELETE ON projects
  FOR EACH ROW EXECUTE FUNCTION is_not_needed_v1();
