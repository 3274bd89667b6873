-- Events from outside and from workflows (control.emit), each committed before triggers are looked
-- for. They are no events of a workflow's own record (see the table events). An event is known once
-- by the source and the id that its sender gives: source, source_id.
--
-- data and attributes are payloads, which SQL does not read. keys: a number for each short text and
-- whole number in data and subject, by which the waits are found that compare one; null if they are too
-- many, and then no wait is left out. depth: how many events led to this one,
-- each by a workflow that it started and that emitted the next. matched_at: when the triggers were
-- looked for; null until then. The reconciler looks for them at match_after if nobody else has.
-- failures: how often that could not be done. wakes_at: when waits of steps are to be looked for, from
-- the wait wakes_from on; null if none is left.
--
-- Like those of workflows, its owners have no foreign keys, because each event would lock their rows.
CREATE TABLE incoming_events (
  id uuid PRIMARY KEY,
  organisation_id uuid NOT NULL,
  project_id uuid NOT NULL,
  user_id uuid NOT NULL,
  source text NOT NULL,
  source_id text NOT NULL,
  type text NOT NULL,
  subject text,
  occurred_at timestamptz,
  data jsonb NOT NULL,
  attributes jsonb,
  keys integer[],
  depth smallint DEFAULT 0 NOT NULL,
  received_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  matched_at timestamptz,
  match_after timestamptz NOT NULL,
  failures smallint DEFAULT 0 NOT NULL,
  wakes_at timestamptz,
  wakes_from uuid,
  CONSTRAINT incoming_events_once UNIQUE (user_id, source, source_id)
);

CREATE INDEX incoming_events_by_user ON incoming_events (user_id, received_at, id);
CREATE INDEX incoming_events_by_type ON incoming_events (user_id, type, received_at, id);
CREATE INDEX incoming_events_by_age ON incoming_events (received_at);
CREATE INDEX incoming_events_unmatched ON incoming_events (match_after) WHERE matched_at IS NULL;
CREATE INDEX incoming_events_waking ON incoming_events (wakes_at) WHERE wakes_at IS NOT NULL;
