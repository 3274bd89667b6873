-- Executions of definitions. Every workflow that has not ended has a finite next_wake_at, so the
-- reconciler always looks at it again.
--
-- input, output and error are payloads, which SQL does not read. attention_since is valid only
-- while attention is set. hidden_need: a reason to need a person that no step causes, and that the
-- attention effect_failed hides until it is dismissed; else null. paused_by, paused_reason and pauses_children are valid only while
-- paused_at is set; a child that is started during the pause is then paused in the same way.
--
-- budget_id: the workflow whose budget this one spends (itself, or a workflow above it), null if no
-- budget applies. spent is what its own steps have cost at the platforms, in micro-USD; what its
-- children have cost is theirs, and what a fork has adopted is the original's.
-- outlives_budget: the budgets of the workflows above limit this one and its children no more,
-- because one was exceeded when this workflow had passed its pivot, so that it cannot be undone, and
-- the workflow above was stopping or had ended. The costs still count in these budgets.
--
-- starts_at: when a workflow that was deferred is to start; null if it was started at once. Until then
-- it is pending and has no steps, and expires_at is the bound of its wait.
--
-- expires_at counts from the start of the workflow until it has passed for the first time, then from
-- that of its first step, begun_at (see reconcile_workflow_v1).
--
-- flow, lane_id: the terms under which flow control starts the workflow, and the lane in which it waits
-- or has waited; null if nothing controls its start. It is pending until it has its turn, and holds its
-- places (flow_turns) until it has ended.
--
-- The columns that a start writes (organisation, project, user, definition) have no foreign keys,
-- because each start would check and lock a row for each of them. Triggers guard the deletion of
-- those rows instead (see is_not_needed_v1).
--
-- forked_from has no foreign key either: the original may be archived before its forks, once these have
-- ended.
--
-- The columns are in an order like that of the table steps.
--
-- request_hash is null if the request had no idempotency key, because only a request with the same
-- key is compared with it.
CREATE TABLE workflows (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL,
  project_id uuid NOT NULL,
  user_id uuid NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  spent bigint DEFAULT 0 NOT NULL,
  version integer NOT NULL,
  priority smallint DEFAULT 5 NOT NULL,
  depth smallint DEFAULT 0 NOT NULL,
  undoes boolean DEFAULT true NOT NULL,
  outlives_budget boolean DEFAULT false NOT NULL,
  pauses_children boolean,
  is_asleep boolean,
  type text NOT NULL,
  idempotency_key text,
  request_hash bytea,
  parent_id uuid REFERENCES workflows (id),
  parent_key text,
  forked_from uuid,
  budget_id uuid,
  input jsonb NOT NULL,
  starts_at timestamptz,
  begun_at timestamptz,
  expires_at timestamptz,
  started_at timestamptz,
  paused_at timestamptz,
  attention_since timestamptz,
  paused_by text,
  paused_reason text,
  next_wake_at timestamptz,
  completed_at timestamptz,
  status text NOT NULL,
  cause text,
  attention text,
  hidden_need text,
  output jsonb,
  error jsonb,
  lane_id bigint,
  flow jsonb,
  CONSTRAINT workflows_status CHECK (status IN (
    'pending', 'running', 'succeeded', 'failed', 'compensating', 'compensated', 'cancelled')),
  CONSTRAINT workflows_cause CHECK (cause IN ('failed', 'timed_out', 'cancelled', 'over_budget')),
  CONSTRAINT workflows_priority CHECK (priority BETWEEN 1 AND 9),
  CONSTRAINT workflows_always_looked_at CHECK (
    status IN ('succeeded', 'failed', 'compensated', 'cancelled')
    OR (next_wake_at IS NOT NULL AND isfinite(next_wake_at)))
)
-- Each workflow leaves dead entries at the start of the index workflows_due, where every pass of
-- the reconciler starts to read. With the default of a fifth of the table, a pass would skip more
-- dead entries the more workflows have finished.
WITH (autovacuum_vacuum_scale_factor = 0.05);

-- A unique index may cover only columns that never change. Otherwise each update would take a lock
-- that conflicts with claims.
-- The key stands first, and who looks for one writes `IS NOT DISTINCT FROM` for the user: a plan that is
-- made while the table is small must not search workflows_by_user, which has all of a user's workflows.
CREATE UNIQUE INDEX workflows_idempotency ON workflows (idempotency_key, user_id)
  WHERE idempotency_key IS NOT NULL;
CREATE INDEX workflows_due ON workflows (next_wake_at) WHERE completed_at IS NULL;
-- With parent_id as the last column, a list of the workflows without a parent skips children in the
-- index and does not read their rows. Lists are ordered by created_at and id. The few workflows of
-- one time are sorted when they are read, so their ids need not stand in this index too.
CREATE INDEX workflows_by_user ON workflows (user_id, created_at, parent_id);
CREATE INDEX workflows_by_parent ON workflows (parent_id, created_at, id)
  WHERE parent_id IS NOT NULL;
CREATE INDEX workflows_by_fork_source ON workflows (forked_from) WHERE forked_from IS NOT NULL;
CREATE INDEX workflows_needing_a_person ON workflows (user_id, created_at, id)
  WHERE attention IS NOT NULL;

-- The next three indexes serve lists by status. With them, a list reads only the rows that it
-- shows. It does not read finished or sleeping workflows in order to discard them.
--
-- Whether a running workflow is suspended depends on its steps and on the time, so an index cannot
-- tell. It can tell is_asleep, which is stored when the reconciler sets next_wake_at to a later
-- time. Whatever gives a sleeping workflow something to do sets next_wake_at to a time that is at
-- most the longest republish time away. So a workflow is suspended if it is asleep and its
-- next_wake_at is further away. If is_asleep is null (not known yet), next_wake_at is near. In all
-- other cases a list reads the steps.
--
-- is_asleep stays null while a workflow is pending, so that it is in neither index.
-- A workflow that succeeds before the reconciler looks at it has no entry in these three indexes.
-- Their columns change only together with those of workflows_due, so they keep no update from being
-- HOT.
CREATE INDEX workflows_asleep ON workflows (user_id, created_at)
  WHERE completed_at IS NULL AND is_asleep;
CREATE INDEX workflows_awake ON workflows (user_id, created_at)
  WHERE completed_at IS NULL AND NOT is_asleep;
CREATE INDEX workflows_by_rare_status ON workflows (user_id, status, created_at, id)
  WHERE status IN ('pending', 'failed', 'compensating', 'compensated', 'cancelled');

CREATE TRIGGER is_not_needed BEFORE DELETE ON workflows
  FOR EACH ROW EXECUTE FUNCTION is_not_needed_v1();
CREATE TRIGGER note_sleep BEFORE UPDATE OF next_wake_at ON workflows FOR EACH ROW
  WHEN (NEW.next_wake_at > OLD.next_wake_at AND NEW.completed_at IS NULL
        AND NEW.status <> 'pending')
  EXECUTE FUNCTION note_sleep_v1();
CREATE TRIGGER release_reservations AFTER UPDATE OF completed_at ON workflows FOR EACH ROW
  WHEN (NEW.completed_at IS NOT NULL AND NEW.budget_id IS NOT NULL)
  EXECUTE FUNCTION release_reservations_v1();
CREATE TRIGGER workflows_not_on_a_retired_version BEFORE INSERT ON workflows
  FOR EACH ROW EXECUTE FUNCTION refuse_retired_v1();
-- Workflows that a schedule has started have such a key (see chains/firing/starts).
CREATE TRIGGER tell_schedule AFTER UPDATE OF completed_at ON workflows FOR EACH ROW
  WHEN (NEW.completed_at IS NOT NULL AND NEW.idempotency_key ^@ 'schedule:')
  EXECUTE FUNCTION tell_schedule_v1();
-- The places of a workflow that has ended are free in the same transaction.
CREATE TRIGGER leave_flow AFTER UPDATE OF completed_at ON workflows FOR EACH ROW
  WHEN (NEW.completed_at IS NOT NULL AND NEW.flow IS NOT NULL)
  EXECUTE FUNCTION end_flow_v1();
CREATE TRIGGER take_turns_again AFTER UPDATE OF completed_at ON workflows FOR EACH ROW
  WHEN (OLD.completed_at IS NOT NULL AND NEW.completed_at IS NULL AND NEW.flow IS NOT NULL)
  EXECUTE FUNCTION take_turns_again_v1();
