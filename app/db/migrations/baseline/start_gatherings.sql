-- The workflows that are pending and wait for further starts: open debounces and batches. When the
-- workflow is to start stands on its own row. items, bytes: how many starts there were, and the size
-- of their inputs.
CREATE TABLE start_gatherings (
  user_id uuid NOT NULL,
  type text NOT NULL,
  version integer NOT NULL,
  key text NOT NULL,
  workflow_id uuid NOT NULL,
  opened_at timestamptz NOT NULL,
  items integer NOT NULL,
  bytes bigint NOT NULL,
  PRIMARY KEY (user_id, type, version, key),
  CONSTRAINT start_gatherings_by_workflow UNIQUE (workflow_id)
);
