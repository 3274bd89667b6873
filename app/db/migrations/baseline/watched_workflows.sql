-- The workflows of which a web server has an event stream, each until a time that the server puts off
-- while the stream waits (see watch_workflows_v1). append_event_v1 and append_events_v1 announce
-- their events. The reconciler removes expired rows. The table is UNLOGGED: after a crash it is
-- empty, and each web server, whose connection was lost too, adds its workflows again.
CREATE UNLOGGED TABLE watched_workflows (
  workflow_id uuid PRIMARY KEY,
  until timestamptz NOT NULL
);
