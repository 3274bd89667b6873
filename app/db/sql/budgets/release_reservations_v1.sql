-- Trigger on workflows, fired when a workflow that spends a budget ends: its steps give back what
-- they have reserved. If the platform may still work for a step that nothing has undone (the
-- workflow was cancelled without undoing, or the definition says that the step is not undone), its
-- whole reservation is booked as cost instead: the work is never looked at again, so what it costs
-- is never known. A cost that is booked too high stops other steps too early; one that is never
-- booked would let them overspend. If the parent has the child undone later, the cost stays.
--
-- Orphans keep their reservations until they are undone, which may be after the end.
CREATE OR REPLACE FUNCTION release_reservations_v1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  s record;
BEGIN
  FOR s IN SELECT key, generation FROM steps
            WHERE workflow_id = NEW.id AND kind = 'step' AND reserved > 0
            ORDER BY position, key LOOP
    IF is_unbooked_v1(NEW.id, s.key, s.generation) THEN
      PERFORM book_whole_v1(NEW.id, s.key);
    END IF;
    UPDATE steps SET reserved = 0 WHERE workflow_id = NEW.id AND key = s.key AND reserved > 0;
  END LOOP;
  RETURN NULL;
END $$;
