-- The files that a workflow mentions: in its input, or in an input that a person gave one of its
-- steps. An upload is kept until every workflow that mentions it has ended. Written by
-- mention_artifacts_v1, because SQL does not read inputs.
CREATE TABLE workflow_artifacts (
  artifact_id uuid NOT NULL REFERENCES artifacts (id),
  workflow_id uuid NOT NULL REFERENCES workflows (id),
  PRIMARY KEY (artifact_id, workflow_id)
);
