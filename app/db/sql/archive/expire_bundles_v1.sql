-- Erases these bundles, of which the policy says that they were kept long enough: from now on their
-- workflows are shown as erased, a manifest will tell of it, and then they are removed from their files.
-- A bundle that was archived under a policy that keeps it longer is only announced at first: it is
-- erased by a later call, after p_grace. Bundles that are held, or that another transaction holds, are
-- left. Returns how many workflows were erased, and how many are announced now.
CREATE OR REPLACE FUNCTION expire_bundles_v1(p_bundles uuid[], p_grace interval)
RETURNS TABLE (erased integer, announced integer) LANGUAGE plpgsql AS $$
DECLARE
  locked uuid[];
  instant timestamptz := playalter_now();
BEGIN
  SELECT array_agg(id) INTO locked FROM (
    SELECT id FROM archive_bundles WHERE id = ANY (p_bundles) AND state = 'archived'
     ORDER BY id FOR UPDATE SKIP LOCKED) AS l;
  -- In a statement after the lock: whoever adds a hold takes it, too.
  UPDATE archive_bundles AS b SET state = 'expired'
   WHERE id = ANY (locked) AND expires_at <= instant AND NOT EXISTS (
     SELECT FROM archive_holds AS h WHERE h.root_id = b.root_id AND h.released_at IS NULL);
  UPDATE archived AS a SET state = 'erased', erased_at = instant
    FROM archive_bundles AS b
   WHERE b.id = ANY (locked) AND b.state = 'expired' AND a.root_id = b.root_id
     AND a.bundle_id = b.id AND a.state = 'archived';
  GET DIAGNOSTICS erased = ROW_COUNT;
  WITH told AS (
    UPDATE archive_bundles SET expires_at = instant + p_grace
     WHERE id = ANY (locked) AND state = 'archived'
       AND (expires_at IS NULL OR expires_at > instant + p_grace)
    RETURNING workflows)
  SELECT coalesce(sum(workflows), 0) INTO announced FROM told;
  RETURN NEXT;
END $$;
