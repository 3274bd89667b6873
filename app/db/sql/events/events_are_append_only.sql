-- Trigger on events: refuses UPDATE, DELETE and TRUNCATE. The record is thereby evidence against
-- everybody but the owner of the database; for the owner's case the heads are exported.
CREATE OR REPLACE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'events are append-only: % refused', TG_OP;
END $$;
