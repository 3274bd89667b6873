-- The waits of steps for events. A wait is open until event_id, the event that it took at ended_at; a
-- wait whose time is over is deleted by the attempt that times out. One whose step was skipped or
-- stopped stays open and is deleted later.
--
-- event_type: a type of events, a prefix such as order.*, or *. filter: a condition over the event
-- and given, the values that it reads beside the event, which do not change. key: only an event with
-- this key (see incoming_events) can fulfil the filter; 0 if no key is known. since and until: the
-- window of the wait, which ends with its time-out.
--
-- Both sides commit first and then look for the other: an event for waits, a wait for events that are
-- stored already. looked_at: when the wait had looked for them; the reconciler does it at look_after if
-- nobody else has. looked_to and looked_to_id: the event up to which it has looked.
--
-- raised and reason: how often the filter failed, and why it did last.
CREATE TABLE event_waits (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  user_id uuid NOT NULL,
  workflow_id uuid NOT NULL,
  step_key text NOT NULL,
  external_id text NOT NULL UNIQUE,
  event_type text NOT NULL,
  filter text,
  given jsonb NOT NULL,
  key integer NOT NULL,
  since timestamptz NOT NULL,
  until timestamptz NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  looked_at timestamptz,
  looked_to timestamptz,
  looked_to_id uuid,
  look_after timestamptz NOT NULL,
  failures smallint DEFAULT 0 NOT NULL,
  raised integer DEFAULT 0 NOT NULL,
  reason text,
  event_id uuid REFERENCES incoming_events (id),
  ended_at timestamptz
);

CREATE INDEX event_waits_open ON event_waits (user_id, event_type, key, id)
  WHERE event_id IS NULL;
CREATE INDEX event_waits_by_user ON event_waits (user_id, created_at, id) WHERE event_id IS NULL;
CREATE INDEX event_waits_to_look ON event_waits (look_after) WHERE looked_at IS NULL;
CREATE INDEX event_waits_by_event ON event_waits (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX event_waits_by_workflow ON event_waits (workflow_id);
