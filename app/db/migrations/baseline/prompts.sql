-- Prompts: texts for models, which belong to a project. Each has versions, whose bodies never change.
-- last_version is the highest number that a version ever had, so that no number is given twice. A
-- prompt that was deleted keeps its row and its moves because of that; deleted_at is null again once a
-- version of this name is made anew.
CREATE TABLE prompts (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL,
  project_id uuid NOT NULL,
  name text NOT NULL,
  last_version integer DEFAULT 0 NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  deleted_at timestamptz,
  UNIQUE (project_id, name),
  FOREIGN KEY (organisation_id, project_id) REFERENCES projects (organisation_id, id)
);
