-- Decides that these bundles are erased: from now on their workflows are shown as erased, a manifest
-- will tell of it, and then they are removed from their files. Those that are held, or that another transaction
-- holds, are left. Returns how many workflows were erased.
CREATE OR REPLACE FUNCTION expire_bundles_v1(p_bundles uuid[]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  locked uuid[];
  erased integer;
BEGIN
  SELECT array_agg(id) INTO locked FROM (
    SELECT id FROM archive_bundles WHERE id = ANY (p_bundles) AND state = 'archived'
     ORDER BY id FOR UPDATE SKIP LOCKED) AS l;
  -- In a statement after the lock: whoever adds a hold takes it, too.
  UPDATE archive_bundles AS b SET state = 'expired'
   WHERE id = ANY (locked) AND NOT EXISTS (
     SELECT FROM archive_holds AS h WHERE h.root_id = b.root_id AND h.released_at IS NULL);
  UPDATE archived AS a SET state = 'erased', erased_at = playalter_now()
    FROM archive_bundles AS b
   WHERE b.id = ANY (locked) AND b.state = 'expired' AND a.root_id = b.root_id
     AND a.bundle_id = b.id AND a.state = 'archived';
  GET DIAGNOSTICS erased = ROW_COUNT;
  RETURN erased;
END $$;
