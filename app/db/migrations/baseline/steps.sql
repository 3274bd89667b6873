-- A step's status, kind and role are domains. The CHECK of a table is read from the catalog and
-- planned again for every statement, that of a domain once in a session.
CREATE DOMAIN step_status AS text CONSTRAINT step_status CHECK (VALUE IN (
  'pending', 'running', 'waiting', 'unknown', 'succeeded', 'failed', 'skipped', 'cancelled',
  'compensated'));
CREATE DOMAIN step_kind AS text CONSTRAINT step_kind CHECK (VALUE IN (
  'step', 'undo', 'orphan', 'orphan_undo'));
CREATE DOMAIN step_role AS text CONSTRAINT step_role CHECK (VALUE IN ('shape', 'wait', 'approval'));

-- The steps of workflows: nodes of the definition, and rows that undo them. No foreign key to the
-- workflow: see is_not_needed_v1.
--
-- kind says what a row is, and of_key is the key of the row to which it refers. Both never change.
--   step: a node of the definition
--   undo: the compensation of the step of_key
--   orphan: an effect that was made at a platform for the step of_key, and that this step does not
--     own
--   orphan_undo: the compensation of the orphan of_key
-- role is set for a node that calls no platform, and never changes; null for others.
--   shape: a row of a block, which only orders other rows
--   wait, approval: a wait for a time or for a person. Its input is made anew at each retry.
-- A step whose publish_after is null is not released: it is neither claimed nor published. If it is
-- 'infinity', the step is lined up (see line_up_v1); if it is '-infinity', the step has no message,
-- and the reconciler publishes it at once. Otherwise a pending step without wake_at was published
-- p_republish seconds before.
-- ready_at is when it was released first, by playalter_now(). It never changes after that, so that
-- expressions that read `now` have the same value in every try.
--
-- item, input, output, resolved_output and error are payloads, which SQL does not read. What SQL
-- needs from them has its own columns:
--   error_code: the code of the error
--   signal, asked: the name of the signal for which an approval has waited, and the e-mail
--     addresses of the users who may give it (null: the owner of the workflow). `asked` without
--     `signal`: the approval has not asked yet, but its addresses are known from the start.
--   remind_at, reminded: when people are reminded of an approval, in order, and how many of these
--     times are over: the next is that after them
--   held_since: since when a full or unavailable store of ours keeps the step from being tried
--   left_since, left_called_at: since when no worker's release or settings fit the step, and when
--     its workflow was marked for attention because of that. Both apply only together with
--     error_code.
--   is_tolerated: the step has failed, and the definition tolerates that
--
-- cost is what the step's calls have cost at the platforms, and reserved what they may still cost,
-- both in micro-USD; null is nothing, and takes no room. Only a step of a workflow that spends a
-- budget reserves (see reserve_v1). An orphan has what its step had reserved for it, until it is
-- undone.
--
-- Every transition writes a version of the row, and of a version on the same page only what lies
-- between the first and the last byte that differ goes to the write-ahead log. So the columns that
-- most transitions change stand together, behind those that stay.
CREATE TABLE steps (
  workflow_id uuid NOT NULL,
  position integer NOT NULL,
  tries integer DEFAULT 0 NOT NULL,
  crashes integer DEFAULT 0 NOT NULL,
  generation integer DEFAULT 0 NOT NULL,
  skip_requested boolean DEFAULT false NOT NULL,
  is_tolerated boolean DEFAULT false NOT NULL,
  key text NOT NULL,
  kind step_kind DEFAULT 'step' NOT NULL,
  action text NOT NULL,
  of_key text,
  role step_role,
  next_keys text[],
  join_key text,
  item_heads text[],
  adopted_from uuid,
  item_count integer,
  next_item integer,
  remaining integer,
  asked text[],
  signal text,
  remind_at timestamptz[],
  reminded integer,
  external_id text,
  item jsonb,
  input jsonb,
  wake_at timestamptz,
  expires_at timestamptz,
  cost bigint,
  reserved bigint,
  held_since timestamptz,
  left_since timestamptz,
  left_called_at timestamptz,
  claims integer DEFAULT 0 NOT NULL,
  publish_after timestamptz,
  ready_at timestamptz,
  fence uuid,
  started_at timestamptz,
  finished_at timestamptz,
  lease_until timestamptz,
  deadline_at timestamptz,
  status step_status NOT NULL,
  output jsonb,
  error jsonb,
  error_code text,
  resolved_output jsonb,
  PRIMARY KEY (workflow_id, key)
)
-- Leaves room on each page for the next versions of a row. An update that finds room there and
-- changes no indexed column is HOT, which is cheap. So no index may use a step's status or another
-- column that every transition changes.
WITH (fillfactor = 70);

CREATE INDEX steps_by_external_id ON steps (external_id) WHERE external_id IS NOT NULL;
-- The few steps that have waited for a signal. Lists of approvals read this index first.
CREATE INDEX steps_by_signal ON steps (workflow_id) WHERE signal IS NOT NULL;
-- The few approvals that ask addresses. A new user's address is looked for in them.
CREATE INDEX steps_by_asked ON steps (workflow_id) WHERE asked IS NOT NULL;
-- The steps that are held. People are told of platforms that refuse our credential or account by them.
CREATE INDEX steps_held ON steps (held_since) WHERE held_since IS NOT NULL;
-- The few compensations of orphans, which also run after the end of their workflows.
CREATE INDEX steps_orphans ON steps (workflow_id) WHERE kind = 'orphan_undo';

CREATE TRIGGER is_not_needed BEFORE DELETE ON steps
  FOR EACH ROW EXECUTE FUNCTION is_not_needed_v1();
-- An AFTER trigger, because a BEFORE trigger would lock each row that is updated once more.
CREATE TRIGGER account AFTER UPDATE OF status, cost, reserved ON steps FOR EACH ROW
  WHEN (coalesce(NEW.cost, 0) <> coalesce(OLD.cost, 0)
        OR coalesce(NEW.reserved, 0) <> coalesce(OLD.reserved, 0)
        OR NEW.reserved <> 0 AND NEW.status <> OLD.status)
  EXECUTE FUNCTION account_v1();
