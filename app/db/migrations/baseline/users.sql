-- Who asks. organisation_id and project_id say where what the user starts and uploads stands; each user
-- is made with an organisation and a project of their own (see create_user_v1).
CREATE TABLE users (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL,
  project_id uuid NOT NULL,
  email text NOT NULL UNIQUE,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  FOREIGN KEY (organisation_id, project_id) REFERENCES projects (organisation_id, id)
);

CREATE TRIGGER is_not_needed BEFORE DELETE ON users
  FOR EACH ROW EXECUTE FUNCTION is_not_needed_v1();
