-- Trigger on events: refuses UPDATE, DELETE and TRUNCATE. The record is thereby evidence against
-- all users except the owner of the database; exported heads are evidence against the owner too.
CREATE OR REPLACE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'events are append-only: % refused', TG_OP;
END $$;
