-- The files that a workflow's input mentions, or an input that a person gave one of its steps: an upload
-- is kept while a workflow that mentions it has not ended. Written by mention_artifacts_v1, because no
-- SQL looks inside an input.
CREATE TABLE workflow_artifacts (
  artifact_id uuid NOT NULL REFERENCES artifacts (id),
  workflow_id uuid NOT NULL REFERENCES workflows (id),
  PRIMARY KEY (artifact_id, workflow_id)
);
