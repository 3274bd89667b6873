-- Who has created, changed, paused, resumed or deleted a schedule: append-only. The rows of a deleted
-- schedule stay. by: a user's id, or `system`. data has no payloads and no personal data.
CREATE TABLE schedule_events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation_id uuid NOT NULL,
  user_id uuid NOT NULL,
  schedule_id uuid NOT NULL,
  type text NOT NULL,
  by text NOT NULL,
  data jsonb NOT NULL,
  at timestamptz DEFAULT clock_timestamp() NOT NULL
);

CREATE INDEX schedule_events_by_schedule ON schedule_events (schedule_id, id);

CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE ON schedule_events
  FOR EACH ROW EXECUTE FUNCTION events_are_append_only();
CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON schedule_events
  FOR EACH STATEMENT EXECUTE FUNCTION events_are_append_only();
