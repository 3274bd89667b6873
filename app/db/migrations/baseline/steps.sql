-- A step's status and kind are domains, because the CHECK of a table is read from the catalog and planned
-- anew by every statement, and that of a domain once a session.
CREATE DOMAIN step_status AS text CONSTRAINT step_status CHECK (VALUE IN (
  'pending', 'running', 'waiting', 'unknown', 'succeeded', 'failed', 'skipped', 'cancelled',
  'compensated'));
CREATE DOMAIN step_kind AS text CONSTRAINT step_kind CHECK (VALUE IN (
  'step', 'undo', 'orphan', 'orphan_undo'));
CREATE DOMAIN step_role AS text CONSTRAINT step_role CHECK (VALUE IN ('shape', 'wait', 'approval'));

-- Nodes of workflows, and what is undone of them. kind says what a row is, and of_key the key of the row
-- that it is about; both never change:
--   step: a node of the definition
--   undo: the compensation of the step of_key
--   orphan: an effect that works at a vendor for the step of_key and is not its own
--   orphan_undo: the compensation of the orphan of_key
-- role says what a node is that runs no action of a platform, and never changes; it is null for one
-- that does:
--   shape: a row of a block, which only orders other rows
--   wait, approval: a wait for an instant or for a person, whose input is made anew at each retry
-- A step without publish_after is not released: it is neither claimed nor published. item, input, output,
-- resolved_output and error are payloads, and no SQL looks inside them. What it needs of them stands in
-- columns: error_code; signal and asked, the name of the signal for which an approval has waited and the
-- addresses of those who may give it (null: the owner of the workflow); held_since, from when a store of
-- ours has kept the step from being tried; left_since and left_called_at, from when no worker's release
-- fits the step and when a person was called for that (both count only together with error_code).
-- is_tolerated: the step has failed and was let pass. No foreign key to the workflow: see
-- is_not_needed_v1.
CREATE TABLE steps (
  workflow_id uuid NOT NULL,
  key text NOT NULL,
  kind step_kind DEFAULT 'step' NOT NULL,
  of_key text,
  role step_role,
  position integer NOT NULL,
  action text NOT NULL,
  status step_status NOT NULL,
  next_keys text[],
  join_key text,
  item_heads text[],
  item_count integer,
  next_item integer,
  remaining integer,
  fence uuid,
  tries integer DEFAULT 0 NOT NULL,
  claims integer DEFAULT 0 NOT NULL,
  crashes integer DEFAULT 0 NOT NULL,
  generation integer DEFAULT 0 NOT NULL,
  lease_until timestamptz,
  deadline_at timestamptz,
  wake_at timestamptz,
  expires_at timestamptz,
  publish_after timestamptz,
  item jsonb,
  input jsonb,
  output jsonb,
  error jsonb,
  error_code text,
  held_since timestamptz,
  left_since timestamptz,
  left_called_at timestamptz,
  external_id text,
  signal text,
  asked text[],
  cost bigint DEFAULT 0 NOT NULL,
  started_at timestamptz,
  finished_at timestamptz,
  adopted_from uuid,
  skip_requested boolean DEFAULT false NOT NULL,
  is_tolerated boolean DEFAULT false NOT NULL,
  resolved_output jsonb,
  PRIMARY KEY (workflow_id, key)
)
-- Room for the next versions of a row beside the first: an update that finds room there, and changes no
-- indexed column, is HOT. So no index may name a step's status, or anything else that every transition
-- changes.
WITH (fillfactor = 70);

CREATE INDEX steps_by_external_id ON steps (external_id) WHERE external_id IS NOT NULL;
-- The few steps that ever waited for a signal: lists of approvals begin with them.
CREATE INDEX steps_by_signal ON steps (workflow_id) WHERE signal IS NOT NULL;
-- The few compensations of orphan effects, which are run also after the end of their workflows.
CREATE INDEX steps_orphans ON steps (workflow_id) WHERE kind = 'orphan_undo';

CREATE TRIGGER is_not_needed BEFORE DELETE ON steps
  FOR EACH ROW EXECUTE FUNCTION is_not_needed_v1();
CREATE TRIGGER spend AFTER UPDATE OF cost ON steps FOR EACH ROW
  WHEN (NEW.cost <> OLD.cost) EXECUTE FUNCTION spend_v1();
