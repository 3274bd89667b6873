-- Schedules: when workflows of a type start by themselves (see fire_schedule_v1).
--
-- input is a template of a payload, spec says at which times the schedule fires, and flow is flow
-- control of its own, added to that of the definition; SQL reads none of them. calendar is the name of the calendar that spec refers to. spec_version increases
-- with each change of what Python reads to compute times and starts, so that a pass that has read an
-- older version changes nothing.
--
--   seen_to: every time of the spec up to here is decided
--   left_out: times that a change of the calendar leaves out because they were past. It has the first
--     and the last time of each span of them
--   next_nominal_at, due_at: the first time after it, without and with its jitter. Null if there is
--     none, or while the schedule is paused
--   fires_at: when a pass must look at the schedule, null for never. It is due_at or earlier: a start
--     that waits may become too late, or a backfill may go on. It is also set when a change requires
--     that the times be computed again.
--   refused_in_row: how many starts were refused since the last one that succeeded
--
-- The counts are of times: what became of each is in schedule_runs, of which old rows are removed.
CREATE TABLE schedules (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL,
  project_id uuid NOT NULL,
  user_id uuid NOT NULL REFERENCES users (id),
  name text NOT NULL,
  type text NOT NULL,
  version integer,
  input jsonb NOT NULL,
  priority smallint DEFAULT 5 NOT NULL,
  spec jsonb NOT NULL,
  flow jsonb,
  calendar text,
  spec_version integer DEFAULT 1 NOT NULL,
  overlap text DEFAULT 'skip' NOT NULL,
  catch_up_seconds integer NOT NULL,
  pauses_on_failure boolean DEFAULT false NOT NULL,
  seen_to timestamptz NOT NULL,
  left_out timestamptz[],
  next_nominal_at timestamptz,
  due_at timestamptz,
  fires_at timestamptz,
  paused_at timestamptz,
  paused_by text,
  paused_note text,
  started bigint DEFAULT 0 NOT NULL,
  missed bigint DEFAULT 0 NOT NULL,
  skipped bigint DEFAULT 0 NOT NULL,
  dropped bigint DEFAULT 0 NOT NULL,
  refused bigint DEFAULT 0 NOT NULL,
  refused_in_row integer DEFAULT 0 NOT NULL,
  last_fired_at timestamptz,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  changed_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  CONSTRAINT schedules_one_name UNIQUE (user_id, name),
  FOREIGN KEY (organisation_id, project_id) REFERENCES projects (organisation_id, id),
  CONSTRAINT schedules_calendar FOREIGN KEY (user_id, calendar) REFERENCES calendars (user_id, name),
  CONSTRAINT schedules_overlap CHECK (overlap IN (
    'skip', 'buffer_one', 'buffer_all', 'cancel_other', 'terminate_other', 'allow_all')),
  CONSTRAINT schedules_catch_up CHECK (catch_up_seconds >= 10),
  CONSTRAINT schedules_priority CHECK (priority BETWEEN 1 AND 9),
  CONSTRAINT schedules_paused_are_not_due CHECK (paused_at IS NULL OR due_at IS NULL)
)
-- Each pass updates the rows that fire, and reads the start of the index schedules_to_fire.
WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX schedules_to_fire ON schedules (fires_at) WHERE fires_at IS NOT NULL;
CREATE INDEX schedules_by_calendar ON schedules (user_id, calendar) WHERE calendar IS NOT NULL;
