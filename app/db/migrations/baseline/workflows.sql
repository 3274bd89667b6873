-- Executions of definitions. A workflow that has not ended has a finite next_wake_at: there is no state
-- in which the reconciler will not look at it again.
--
-- input, output and error are payloads, and no SQL looks inside them. attention_since counts while
-- attention is set; paused_by, paused_reason and pauses_children while paused_at is: a child that is
-- started meanwhile follows them.
--
-- No foreign key stands on the columns that a start writes (organisation, project, user, definition), for
-- its check would cost each start a look and a lock for each of them; triggers guard the other end (see
-- is_not_needed_v1).
CREATE TABLE workflows (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL,
  project_id uuid NOT NULL,
  user_id uuid NOT NULL,
  type text NOT NULL,
  version integer NOT NULL,
  status text NOT NULL,
  cause text,
  attention text,
  attention_since timestamptz,
  paused_at timestamptz,
  paused_by text,
  paused_reason text,
  pauses_children boolean,
  input jsonb NOT NULL,
  output jsonb,
  error jsonb,
  priority smallint DEFAULT 5 NOT NULL,
  idempotency_key text,
  request_hash bytea,
  next_wake_at timestamptz,
  expires_at timestamptz,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  started_at timestamptz,
  completed_at timestamptz,
  parent_id uuid REFERENCES workflows (id),
  parent_key text,
  depth smallint DEFAULT 0 NOT NULL,
  undoes boolean DEFAULT true NOT NULL,
  budget bigint,
  spent bigint DEFAULT 0 NOT NULL,
  forked_from uuid REFERENCES workflows (id),
  is_asleep boolean,
  CONSTRAINT workflows_status CHECK (status IN (
    'pending', 'running', 'succeeded', 'failed', 'compensating', 'compensated', 'cancelled')),
  CONSTRAINT workflows_cause CHECK (cause IN ('failed', 'timed_out', 'cancelled', 'over_budget')),
  CONSTRAINT workflows_priority CHECK (priority BETWEEN 1 AND 9),
  CONSTRAINT workflows_always_looked_at CHECK (
    status IN ('succeeded', 'failed', 'compensated', 'cancelled')
    OR (next_wake_at IS NOT NULL AND isfinite(next_wake_at)))
)
-- Each workflow leaves dead entries at the head of workflows_due, where every pass of the reconciler
-- begins. At the usual fifth of the table a pass would step over more of them the more workflows have
-- finished.
WITH (autovacuum_vacuum_scale_factor = 0.05);

-- A unique index may stand only on columns that never change, or each update would lock the row against
-- claims.
CREATE UNIQUE INDEX workflows_idempotency ON workflows (user_id, idempotency_key)
  WHERE idempotency_key IS NOT NULL;
CREATE INDEX workflows_due ON workflows (next_wake_at) WHERE completed_at IS NULL;
CREATE INDEX workflows_by_user ON workflows (user_id, id);
CREATE INDEX workflows_by_parent ON workflows (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX workflows_by_fork_source ON workflows (forked_from) WHERE forked_from IS NOT NULL;
CREATE INDEX workflows_needing_a_person ON workflows (user_id, id) WHERE attention IS NOT NULL;

-- Lists by status read only what they show; no finished and no sleeping workflow is passed over.
--
-- Whether a running workflow is suspended follows from its steps and from the time, so no index can hold
-- it. is_asleep is what an index can hold; it is noted when next_wake_at is raised, which only the
-- reconciler does. Whatever gives a sleeping workflow something to do lowers next_wake_at to within the
-- longest republish time. So a workflow that is asleep and is not to be looked at soon is suspended; one
-- for which this is not known yet (null) is to be looked at soon. For all others the steps are asked.
--
-- A workflow that runs and succeeds without a look of the reconciler has no entry in these three, and
-- their columns change only together with those of workflows_due: no update stops being HOT.
CREATE INDEX workflows_asleep ON workflows (user_id, id) WHERE completed_at IS NULL AND is_asleep;
CREATE INDEX workflows_awake ON workflows (user_id, id) WHERE completed_at IS NULL AND NOT is_asleep;
CREATE INDEX workflows_by_rare_status ON workflows (user_id, status, id)
  WHERE status IN ('pending', 'failed', 'compensating', 'compensated', 'cancelled');

CREATE TRIGGER is_not_needed BEFORE DELETE ON workflows
  FOR EACH ROW EXECUTE FUNCTION is_not_needed_v1();
CREATE TRIGGER note_sleep BEFORE UPDATE OF next_wake_at ON workflows FOR EACH ROW
  WHEN (NEW.next_wake_at > OLD.next_wake_at AND NEW.completed_at IS NULL)
  EXECUTE FUNCTION note_sleep_v1();
CREATE TRIGGER workflows_not_on_a_retired_version BEFORE INSERT ON workflows
  FOR EACH ROW EXECUTE FUNCTION refuse_retired_v1();
