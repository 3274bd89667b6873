-- Trigger on workflows, fired when a workflow that spends a budget ends: its steps give back what
-- they have reserved.
CREATE OR REPLACE FUNCTION release_reservations_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE steps SET reserved = 0 WHERE workflow_id = NEW.id AND reserved > 0;
  RETURN NULL;
END $$;
