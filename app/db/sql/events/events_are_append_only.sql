-- Trigger on events: refuses UPDATE, DELETE and TRUNCATE. So no user of the database can change the
-- record, except the database's owner. Exported hashes reveal a change by the owner.
--
-- The events of an archived workflow may be deleted: a row of `archived` holds the head of exactly
-- these events, and archived_has_the_head_v1 has compared it with them.
CREATE OR REPLACE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF EXISTS (SELECT FROM archived
                WHERE workflow_id = OLD.workflow_id AND state = 'archived'
                  AND (OLD.seq < head_seq OR OLD.seq = head_seq AND OLD.hash = head_hash)) THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'events are append-only: % refused', TG_OP;
END $$;
