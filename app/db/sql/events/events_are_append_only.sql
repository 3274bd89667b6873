-- Trigger on events: refuses UPDATE, DELETE and TRUNCATE. So no user of the database can change the
-- record, except the database's owner. Exported hashes reveal a change by the owner.
CREATE OR REPLACE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'events are append-only: % refused', TG_OP;
END $$;
