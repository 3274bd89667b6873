-- Requests to start the times of a schedule between after_at (exclusive) and until_at (inclusive),
-- which are in the past. Each pass takes some; done_to says how far it has come.
CREATE TABLE schedule_backfills (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  schedule_id uuid NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
  after_at timestamptz NOT NULL,
  until_at timestamptz NOT NULL,
  done_to timestamptz NOT NULL,
  overlap text NOT NULL,
  times integer NOT NULL,
  requested_by text NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  ended_at timestamptz,
  CONSTRAINT schedule_backfills_overlap CHECK (overlap IN (
    'skip', 'buffer_one', 'buffer_all', 'cancel_other', 'terminate_other', 'allow_all'))
);

CREATE INDEX schedule_backfills_of_schedule ON schedule_backfills (schedule_id, id);
CREATE INDEX schedule_backfills_open ON schedule_backfills (schedule_id, id)
  WHERE ended_at IS NULL;
