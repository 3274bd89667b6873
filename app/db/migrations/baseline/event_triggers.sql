-- Rules by which an incoming event starts a workflow. event_type is a type of event, a prefix such
-- as `invoice.*`, or `*`. filter and idempotency_key are expressions over the event, and input is a
-- template of the workflow's input; null: the data of the event. version null: the one that a start
-- chooses. While paused_at is set, events pass the trigger by. A trigger that was deleted keeps its
-- row while matches name it.
--
-- The columns cleared_... count matches whose rows were deleted with old events; the other matches
-- are counted from their rows, so that no start changes a row which others change too.
CREATE TABLE event_triggers (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL,
  project_id uuid NOT NULL,
  user_id uuid NOT NULL REFERENCES users (id),
  name text NOT NULL,
  event_type text NOT NULL,
  filter text,
  definition text NOT NULL,
  version integer,
  input jsonb,
  idempotency_key text,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  changed_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  paused_at timestamptz,
  deleted_at timestamptz,
  cleared_started bigint DEFAULT 0 NOT NULL,
  cleared_repeated bigint DEFAULT 0 NOT NULL,
  cleared_refused bigint DEFAULT 0 NOT NULL,
  cleared_raised bigint DEFAULT 0 NOT NULL,
  cleared_stopped bigint DEFAULT 0 NOT NULL,
  cleared_dropped bigint DEFAULT 0 NOT NULL,
  FOREIGN KEY (organisation_id, project_id) REFERENCES projects (organisation_id, id)
);

CREATE UNIQUE INDEX event_triggers_by_name ON event_triggers (user_id, name)
  WHERE deleted_at IS NULL;
