-- What became of the times of schedules, newest last. Old rows are removed (see
-- chains/firing/trimming), except those that are open.
--
--   kind: regular (a time of the schedule), manual (a person asked for it), or backfill
--   nominal_at: the time of the schedule, without jitter. times: so many times up to nominal_at share
--     this row, because the same became of them at once
--   overlap: the policy of this start; null for that which the schedule has when it is decided
--   expires_at: when a start that waits becomes too late; null for never
--   request_id: of a manual start, so that a repeated request starts nothing new
--   outcome:
--     started: workflow_id runs or has run
--     buffered: waits until what runs has ended
--     skipped: something ran or waited already. replaced: a later time was started instead
--     missed: it was too late. dropped: too many waited, or the schedule was paused
--     refused: the definition refused the input, for example. reason is the code of the error
--   is_open: it waits, or its workflow has not ended, or its end is not seen to yet
--   ended_at, ended_as, cause: of its workflow
--
-- No foreign key to the schedule, because each start would check it. Who deletes a schedule deletes
-- its runs.
CREATE TABLE schedule_runs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  schedule_id uuid NOT NULL,
  kind text NOT NULL,
  nominal_at timestamptz NOT NULL,
  times bigint DEFAULT 1 NOT NULL,
  overlap text,
  expires_at timestamptz,
  request_id text,
  outcome text NOT NULL,
  reason text,
  detail text,
  workflow_id uuid,
  is_open boolean NOT NULL,
  decided_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  ended_at timestamptz,
  ended_as text,
  cause text,
  CONSTRAINT schedule_runs_kind CHECK (kind IN ('regular', 'manual', 'backfill')),
  CONSTRAINT schedule_runs_outcome CHECK (outcome IN (
    'started', 'buffered', 'skipped', 'missed', 'dropped', 'replaced', 'refused'))
)
WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX schedule_runs_by_schedule ON schedule_runs (schedule_id, id);
CREATE INDEX schedule_runs_open ON schedule_runs (schedule_id, id) WHERE is_open;
-- Rows whose workflow has ended, until a pass has seen to it: few at any time.
CREATE INDEX schedule_runs_ended ON schedule_runs (schedule_id)
  WHERE is_open AND ended_at IS NOT NULL;
CREATE INDEX schedule_runs_by_workflow ON schedule_runs (workflow_id) WHERE workflow_id IS NOT NULL;
CREATE UNIQUE INDEX schedule_runs_by_request ON schedule_runs (schedule_id, request_id)
  WHERE request_id IS NOT NULL;
