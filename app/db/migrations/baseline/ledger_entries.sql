-- The ledger of the customers' money: one entry for each fact that a platform has reported, with lines
-- in ledger_lines. Append-only: what was wrong is corrected by another entry.
--
-- fact_key: `<platform>:<id of the object>:<kind>`, so that a fact is booked once, however often and by
-- whomever it is reported. of_key: the fact to which this one belongs (a fee to its capture). source:
-- who has booked it first. workflow_id, step_key and the columns of their owner are null if no workflow
-- of ours is known for it (a payout, say). external_ids: the platform's ids of the objects. stage: what
-- the object has come to, by the platform's word; such an entry has no lines.
--
-- No foreign keys, and no data of persons: the books outlast workflows that are archived or erased, and
-- the users whom they belonged to.
CREATE TABLE ledger_entries (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid,
  project_id uuid,
  user_id uuid,
  workflow_id uuid,
  version integer,
  occurred_at timestamptz NOT NULL,
  recorded_at timestamptz DEFAULT playalter_now() NOT NULL,
  fact_key text NOT NULL,
  of_key text,
  kind text NOT NULL,
  platform text NOT NULL,
  type text,
  step_key text,
  source text NOT NULL,
  stage text,
  external_ids jsonb DEFAULT '{}' NOT NULL,
  CONSTRAINT ledger_entries_once UNIQUE (fact_key),
  CONSTRAINT ledger_entries_kind CHECK (kind IN (
    'authorization', 'authorization_released', 'capture', 'capture_failed', 'refund', 'refund_failed',
    'dispute', 'dispute_stage', 'dispute_lost', 'dispute_recovered', 'dispute_reinstated', 'payout',
    'payout_reversal', 'settlement', 'exchange', 'fee', 'dispute_fee', 'adjustment')),
  CONSTRAINT ledger_entries_stage CHECK ((stage IS NOT NULL) = (kind = 'dispute_stage')),
  CONSTRAINT ledger_entries_source CHECK (source IN ('step', 'webhook', 'reconciliation'))
);

CREATE INDEX ledger_entries_by_user ON ledger_entries (user_id, id);
CREATE INDEX ledger_entries_by_workflow ON ledger_entries (workflow_id) WHERE workflow_id IS NOT NULL;
CREATE INDEX ledger_entries_by_time ON ledger_entries (occurred_at);
CREATE INDEX ledger_entries_recorded ON ledger_entries USING brin (recorded_at);
CREATE INDEX ledger_entries_of ON ledger_entries (of_key) WHERE of_key IS NOT NULL;
CREATE INDEX ledger_entries_disputes ON ledger_entries (platform, id) WHERE kind = 'dispute';

CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE ON ledger_entries
  FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only_v1();
CREATE TRIGGER ledger_is_not_truncated BEFORE TRUNCATE ON ledger_entries
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only_v1();
