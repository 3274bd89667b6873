-- The users of the API. What a user starts or uploads belongs to organisation_id and project_id.
-- Each user is created with an own organisation and project (see create_user_v1). An address is
-- stored casefolded, so that addresses that differ only in case are one user. weight is the user's
-- share of the workers' time while steps of several users wait (see admit_v1); null: 1.
CREATE TABLE users (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL,
  project_id uuid NOT NULL,
  email text NOT NULL UNIQUE
    CONSTRAINT users_email CHECK (email = casefold(email COLLATE pg_unicode_fast)),
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  weight double precision CONSTRAINT users_weight CHECK (weight BETWEEN 0.001 AND 1000),
  FOREIGN KEY (organisation_id, project_id) REFERENCES projects (organisation_id, id)
);

CREATE TRIGGER is_not_needed BEFORE DELETE ON users
  FOR EACH ROW EXECUTE FUNCTION is_not_needed_v1();
