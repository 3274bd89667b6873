-- The record of each workflow: append-only, numbered. Each event's hash is made from the hash of
-- the previous event and the text of this event (see append_event_v1). No foreign key to the
-- workflow: see is_not_needed_v1.
CREATE TABLE events (
  workflow_id uuid NOT NULL,
  seq integer NOT NULL,
  body text NOT NULL,
  hash bytea NOT NULL,
  PRIMARY KEY (workflow_id, seq)
)
-- Only archiving leaves dead rows. With the default of a fifth of the table, their room would be used
-- again only after a quarter of a year's workflows were archived.
WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE ON events
  FOR EACH ROW EXECUTE FUNCTION events_are_append_only();
CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON events
  FOR EACH STATEMENT EXECUTE FUNCTION events_are_append_only();
