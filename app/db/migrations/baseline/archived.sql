-- What is left in PostgreSQL of a workflow whose rows were moved to the storage: what lists show, its
-- idempotency key, its lineage, and the head of its events (the newest event). A row is inserted in
-- the transaction that deletes the others, and is never deleted.
--
-- state: archived; restored (its rows are there again, and this row says nothing more); erased (its
-- bundle is gone for good). bundle_id: a row of archive_bundles. root_id: the workflow
-- above it that has no parent, or itself. cost: what it and its children have cost at the platforms,
-- in micro-USD. restored_at: since then a restored workflow is kept as one that has just ended.
CREATE TABLE archived (
  workflow_id uuid PRIMARY KEY,
  root_id uuid NOT NULL,
  organisation_id uuid NOT NULL,
  project_id uuid NOT NULL,
  user_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  cost bigint NOT NULL,
  budget bigint,
  budget_id uuid,
  version integer NOT NULL,
  head_seq integer NOT NULL,
  priority smallint NOT NULL,
  is_paused boolean NOT NULL,
  type text NOT NULL,
  status text NOT NULL,
  cause text,
  idempotency_key text,
  request_hash bytea,
  parent_id uuid,
  forked_from uuid,
  starts_at timestamptz,
  started_at timestamptz,
  completed_at timestamptz NOT NULL,
  head_hash bytea NOT NULL,
  bundle_id uuid NOT NULL,
  archived_at timestamptz NOT NULL,
  state text DEFAULT 'archived' NOT NULL,
  restored_at timestamptz,
  restored_by text,
  erased_at timestamptz,
  CONSTRAINT archived_state CHECK (state IN ('archived', 'restored', 'erased'))
);

CREATE INDEX archived_by_user ON archived (user_id, created_at, workflow_id);
CREATE INDEX archived_of_root ON archived (root_id);
CREATE INDEX archived_by_parent ON archived (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX archived_by_fork_source ON archived (forked_from) WHERE forked_from IS NOT NULL;
-- In the order of workflows_idempotency, and for the same reason.
CREATE INDEX archived_idempotency ON archived (idempotency_key, user_id)
  WHERE idempotency_key IS NOT NULL;

CREATE TRIGGER archived_has_the_head BEFORE INSERT OR UPDATE OR DELETE ON archived
  FOR EACH ROW EXECUTE FUNCTION archived_has_the_head_v1();
CREATE TRIGGER archived_is_not_truncated BEFORE TRUNCATE ON archived
  FOR EACH STATEMENT EXECUTE FUNCTION archived_has_the_head_v1();
