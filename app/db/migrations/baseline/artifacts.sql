-- Stored files: uploads (workflow_id is null), results that steps have copied from platforms, and
-- answers of platforms that are too large for the table intents (step_key is null).
-- The row of an erased file stays, with the file's hash.
CREATE TABLE artifacts (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL,
  project_id uuid NOT NULL,
  user_id uuid NOT NULL REFERENCES users (id),
  workflow_id uuid,
  step_key text,
  name text NOT NULL,
  content_type text NOT NULL,
  size bigint NOT NULL,
  width integer,
  height integer,
  sha256 text NOT NULL,
  vendor_sha256 text,
  storage_key text NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  erased_at timestamptz,
  FOREIGN KEY (organisation_id, project_id) REFERENCES projects (organisation_id, id)
);

CREATE INDEX artifacts_by_user ON artifacts (user_id, id);
CREATE INDEX artifacts_by_step ON artifacts (workflow_id, step_key) WHERE workflow_id IS NOT NULL;
-- Uploads that housekeeping may erase, oldest first.
CREATE INDEX artifacts_uploads_by_age ON artifacts (created_at)
  WHERE workflow_id IS NULL AND erased_at IS NULL;
