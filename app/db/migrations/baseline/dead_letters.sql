-- Workflows that have failed for good: they ended by a failure, a time-out or an exceeded budget,
-- they have no parent that dealt with that, and no person decided it. A workflow that succeeds, that
-- its user cancels or whose approval is rejected has no row, and never touches this table or its
-- indexes. No foreign keys: see is_not_needed_v1.
--
-- step_key: the step that failed; null if none did, for example at a time-out of the workflow.
-- action, platform, error_code: those of the failure that began it. If step_key is the start of a
-- child, they are those of the child's step that failed. A list shows a row only while its workflow needs no person (workflows.attention) and
-- is not being undone once more.
--
-- settled_as: what a person has done about it; null as long as nothing is done. `replayed`: the
-- workflow replay_id carries its work on, as a fork or as a new start with its input. `dismissed`: it
-- needs no replay; note says why. request: a hash of the Idempotency-Key of the request that replayed
-- it.
CREATE TABLE dead_letters (
  workflow_id uuid PRIMARY KEY,
  organisation_id uuid NOT NULL,
  project_id uuid NOT NULL,
  user_id uuid NOT NULL,
  type text NOT NULL,
  cause text NOT NULL,
  step_key text,
  action text,
  platform text,
  error_code text NOT NULL,
  ended_at timestamptz NOT NULL,
  settled_at timestamptz,
  settled_as text,
  note text,
  replay_id uuid,
  request bytea,
  CONSTRAINT dead_letters_settled_as CHECK (settled_as IN ('replayed', 'dismissed')),
  CONSTRAINT dead_letters_settled_whole CHECK (
    (settled_at IS NULL) = (settled_as IS NULL)
    AND (replay_id IS NOT NULL) = coalesce(settled_as = 'replayed', false))
);

CREATE INDEX dead_letters_open ON dead_letters (user_id, ended_at, workflow_id)
  WHERE settled_at IS NULL;
CREATE INDEX dead_letters_settled ON dead_letters (user_id, settled_as, ended_at, workflow_id)
  WHERE settled_at IS NOT NULL;
-- Finds what a workflow replays.
CREATE INDEX dead_letters_by_replay ON dead_letters (replay_id) WHERE replay_id IS NOT NULL;
