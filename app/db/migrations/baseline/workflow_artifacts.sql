-- The files that a workflow mentions: in its input, or in an input that a person gave one of its
-- steps. An upload is kept until every workflow that mentions it has ended. Written by
-- mention_artifacts_v1, because SQL does not read inputs. No foreign key to the workflow: to check it at
-- each delete would read the table.
CREATE TABLE workflow_artifacts (
  artifact_id uuid NOT NULL REFERENCES artifacts (id),
  workflow_id uuid NOT NULL,
  PRIMARY KEY (artifact_id, workflow_id)
);

-- Ids of workflows rise with time, so ranges of blocks tell them apart, and a row costs no entry.
CREATE INDEX workflow_artifacts_of_workflow ON workflow_artifacts
  USING brin (workflow_id uuid_minmax_multi_ops);
